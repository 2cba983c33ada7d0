package proget

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of error that cross package boundaries. Every error that a caller
// is meant to act on matches exactly one of them with errors.Is; anything else
// is an internal error, which clients see without its text.
var (
	ErrNotFound        = errors.New("not found")
	ErrConflict        = errors.New("conflict")
	ErrInvalid         = errors.New("invalid")
	ErrDenied          = errors.New("permission denied")
	ErrUnauthenticated = errors.New("authentication required")
	ErrTooLarge        = errors.New("too large")
	ErrUnavailable     = errors.New("temporarily unavailable") // worth trying again soon
	ErrNoSpace         = errors.New("insufficient storage")
	ErrCanceled        = errors.New("canceled")
	ErrThrottled       = errors.New("too many attempts")            // worth trying again after a while
	ErrStale           = errors.New("superseded by a newer holder") // a fence or claim was lost
)

// Error carries a message that is safe to show to a client, and the cause,
// which is not.
type Error struct {
	Kind    error  // one of the sentinels above
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
	for _, kind := range kinds {
		if errors.Is(e.Cause, kind) {
			return []error{e.Kind}
		}
	}
	return []error{e.Kind, e.Cause}
}

var kinds = []error{ErrNotFound, ErrConflict, ErrInvalid, ErrDenied, ErrUnauthenticated, ErrTooLarge, ErrUnavailable, ErrNoSpace, ErrThrottled, ErrStale}

// Message returns the text of err that is safe to show, or "" if err has none.
func Message(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return ""
}
