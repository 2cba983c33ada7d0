package indexing

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// A PanicError is a panic of code that was passed to a node: a worker, a follower or a
// feed type.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("it panicked: %v", e.Value) }

// Safely calls work and returns a panic as a *PanicError: one job, package or follower
// must not end the node and all work after it.
func Safely(work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{r, debug.Stack()}
		}
	}()
	return work()
}

// Stack returns the stack of a panic as a log attribute; it is empty for other errors.
func Stack(err error) slog.Attr {
	if p, ok := errors.AsType[*PanicError](err); ok {
		return slog.String("stack", string(p.Stack))
	}
	return slog.Attr{}
}
