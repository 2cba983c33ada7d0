package indexing

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// A PanicError is a panic of what a node was given: a worker, a follower, a feed type.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("it panicked: %v", e.Value) }

// Safely turns a panic into a *PanicError: one job, package or follower must not take
// the node down, and with it all that comes after.
func Safely(work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{r, debug.Stack()}
		}
	}()
	return work()
}

// Stack is the stack of a panic, for a log; empty for another error.
func Stack(err error) slog.Attr {
	if p, ok := errors.AsType[*PanicError](err); ok {
		return slog.String("stack", string(p.Stack))
	}
	return slog.Attr{}
}
