package proget

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of error that cross package boundaries. Every error that a caller
// is meant to act on matches exactly one kind with errors.Is: one of these, or one
// that a package has made with NewKind. Anything else is an internal error, which
// clients see without its text.
var (
	ErrNotFound        = NewKind("not found")
	ErrConflict        = NewKind("conflict")
	ErrInvalid         = NewKind("invalid")
	ErrDenied          = NewKind("permission denied")
	ErrUnauthenticated = NewKind("authentication required")
	ErrTooLarge        = NewKind("too large")
	ErrUnavailable     = NewKind("temporarily unavailable") // worth trying again soon
	ErrNoSpace         = NewKind("insufficient storage")
	ErrCanceled        = NewKind("canceled")
	ErrThrottled       = NewKind("too many attempts")            // worth trying again after a while
	ErrStale           = NewKind("superseded by a newer holder") // a fence or claim was lost
)

// NewKind returns a new kind of error, to be the Kind of an Error. Its text is for
// the log.
func NewKind(text string) error { return &kind{text} }

// A kind has a type of its own, by which Error.Unwrap knows it: there is no list
// that one could be missing from.
type kind struct{ text string }

func (k *kind) Error() string { return k.text }

// Error carries a message that is safe to show to a client, and the cause,
// which is not.
type Error struct {
	Kind    error  // one of those above, or of NewKind
	Message string // a sentence that tells the client what to do
	Cause   error  // for the log; may be nil
}

// Errorf returns an *Error of the given kind whose message is safe to show.
// An error wrapped with %w becomes the cause.
func Errorf(kind error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// WrapError returns an *Error whose message is safe to show and whose cause is
// kept for the log alone: unlike with Errorf's %w, the text of cause is not
// part of the message.
func WrapError(kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return strings.TrimSuffix(e.Message, ".") + ": " + e.Cause.Error()
}

// Unwrap makes both the kind and the cause visible to errors.Is and errors.As,
// but not a cause that has a kind of its own: the newest judgement counts alone.
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
