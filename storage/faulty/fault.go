package faulty

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// An Op is an operation of a bucket, as its driver sees it.
type Op string

// The operations that can fail.
const (
	Open       Op = "open"       // an object for reading, of which Read follows
	Read       Op = "read"       // from an open object
	Create     Op = "create"     // begins an object, of which Write and Close follow
	Write      Op = "write"      // a part of an object
	Close      Op = "close"      // completes an object
	Delete     Op = "delete"     // an object
	List       Op = "list"       // a page
	Attributes Op = "attributes" // of an object
)

// Ops are all operations.
var Ops = []Op{Open, Read, Create, Write, Close, Delete, List, Attributes}

// An Effect is what becomes of an operation that a fault meets.
type Effect int

const (
	// Refuse: the operation does not happen.
	Refuse Effect = iota

	// LoseAnswer: the operation happens, and Err is the answer nevertheless.
	LoseAnswer

	// Tear: half of it happens. Write takes, and Read gives, half of the bytes;
	// Close leaves an object with half of its own. Without Err, a Write is a
	// short one, and a Close acknowledges what is not there. For other
	// operations it is Refuse.
	Tear

	// Vanish: the object that Close completes is gone a moment later. For other
	// operations it is Refuse.
	Vanish
)

// A Fault says which call fails, and how.
type Fault struct {
	Op     Op
	Nth    int    // call of Op since Inject, from 1; 0 means 1
	Times  int    // how many calls from then on; 0 means 1, less means all
	Key    string // only of objects whose keys begin so
	Err    error  // what the call returns; nil is an answer, too
	Effect Effect

	// Wait, if set, is waited for first, or the end of the call's context.
	Wait <-chan struct{}

	// Delay is waited for in the same way.
	Delay time.Duration
}

// injected is a fault on its way.
type injected struct {
	Fault
	seen  int // calls that it was asked about
	fired int
}

// meets counts a call and reports whether the fault meets it.
func (f *injected) meets(op Op, key string) bool {
	if f.Op != op || !strings.HasPrefix(key, f.Key) {
		return false
	}
	f.seen++
	first := max(f.Nth, 1)
	if f.seen < first || f.Times >= 0 && f.seen >= first+max(f.Times, 1) {
		return false
	}
	f.fired++
	return true
}

// hold waits for what the fault waits for.
func (f *Fault) hold(ctx context.Context) error {
	var delay <-chan time.Time
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		delay = timer.C
	}
	if delay == nil && f.Wait == nil {
		return nil
	}
	select {
	case <-f.Wait:
	case <-delay:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// answer returns the fault's error as a file system words it: with a path that
// clients must not see.
func (f *Fault) answer(key string) error {
	if f.Err == nil {
		return nil
	}
	return fmt.Errorf("%s /mnt/secret-share/%s: %w", f.Op, key, f.Err)
}
