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
	Open       Op = "open"       // opens an object for reading; Read follows
	Read       Op = "read"       // reads from an open object
	Create     Op = "create"     // begins an object; Write and Close follow
	Write      Op = "write"      // writes a part of an object
	Close      Op = "close"      // completes an object
	Delete     Op = "delete"     // deletes an object
	List       Op = "list"       // lists a page
	Attributes Op = "attributes" // returns an object's attributes
)

// Ops lists all operations.
var Ops = []Op{Open, Read, Create, Write, Close, Delete, List, Attributes}

// An Effect is what a fault does to an operation.
type Effect int

const (
	// Refuse: the operation does not happen.
	Refuse Effect = iota

	// LoseAnswer: the operation happens, but the call returns Err.
	LoseAnswer

	// Tear: half of the operation happens. Write takes, and Read returns, half of the
	// bytes; Close leaves half of the object. If Err is nil, Write reports a short
	// write, and Close reports success. For other operations Tear is Refuse.
	Tear

	// Vanish: the object that Close completes disappears at once. For other operations
	// Vanish is Refuse.
	Vanish
)

// A Fault describes which calls fail, and how.
type Fault struct {
	Op     Op
	Nth    int    // first call of Op to fail since Inject, from 1; 0 means 1
	Times  int    // how many calls fail from then on; 0 means 1, a negative number all
	Key    string // prefix of the keys that the fault applies to
	Err    error  // error that the call returns; if nil, Refuse and LoseAnswer let the call pass
	Effect Effect

	// If Wait is not nil, the call first waits for it or for the end of its context.
	Wait <-chan struct{}

	// Delay makes the call wait in the same way. The call proceeds after the first of
	// Wait and Delay.
	Delay time.Duration
}

// injected is a fault and its counts.
type injected struct {
	Fault
	seen  int // calls that match Op and Key
	fired int
}

// meets counts a matching call and reports whether the fault applies to it.
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

// hold waits for f.Wait, f.Delay or the end of ctx, whichever is first.
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

// answer returns f.Err worded as a file system's error, with a path that clients must
// not see.
func (f *Fault) answer(key string) error {
	if f.Err == nil {
		return nil
	}
	return fmt.Errorf("%s /mnt/secret-share/%s: %w", f.Op, key, f.Err)
}
