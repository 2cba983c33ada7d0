package proget

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of error that cross package boundaries. Every error that a caller is meant
// to act on matches exactly one kind with errors.Is: one of these, or one that a
// package has made with NewKind. Any other error is internal: clients do not see its
// text.
var (
	ErrNotFound        = NewKind("not found")
	ErrConflict        = NewKind("conflict")
	ErrInvalid         = NewKind("invalid")
	ErrDenied          = NewKind("permission denied")
	ErrUnauthenticated = NewKind("authentication required")
	ErrTooLarge        = NewKind("too large")
	ErrUnavailable     = NewKind("temporarily unavailable") // try again soon
	ErrNoSpace         = NewKind("insufficient storage")
	ErrCanceled        = NewKind("canceled")
	ErrThrottled       = NewKind("too many attempts")            // try again after a while
	ErrStale           = NewKind("superseded by a newer holder") // a fence or claim was lost
)

// NewKind returns a new kind of error for Error.Kind. Its text appears in the log.
func NewKind(text string) error { return &kind{text} }

// A kind has its own type so that Error.Unwrap recognises every kind without a list of
// them.
type kind struct{ text string }

func (k *kind) Error() string { return k.text }

// Error carries a message that is safe to show to a client, and a cause that is not.
type Error struct {
	Kind    error  // one of the kinds above, or one made with NewKind
	Message string // a sentence that tells the client what to do
	Cause   error  // for the log; may be nil
}

// Errorf returns an *Error of the given kind whose message is safe to show. An error
// wrapped with %w becomes the cause; its text is part of the message.
func Errorf(kind error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// WrapError returns an *Error of the given kind whose message is safe to show. Unlike
// Errorf with %w, it leaves the text of cause out of the message; only the log shows
// it.
func WrapError(kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return strings.TrimSuffix(e.Message, ".") + ": " + e.Cause.Error()
}

// Unwrap makes the kind and the cause visible to errors.Is and errors.As, except a
// cause that has a kind of its own: only the outermost kind counts.
func (e *Error) Unwrap() []error {
	if _, judged := errors.AsType[*kind](e.Cause); judged || e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Message returns the text of err that is safe to show, or "" if err has none.
func Message(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return ""
}
