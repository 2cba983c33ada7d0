package election

import (
	"context"
	"errors"
	"time"

	"github.com/proget-go/ha/proget"
)

// Errors that drivers return, perhaps wrapped.
var (
	ErrHeld = errors.New("the office is held by another")
	ErrLost = errors.New("the lease was lost")
	ErrNone = errors.New("nobody holds the office")
)

// A Candidacy is a candidate's request for an office.
type Candidacy struct {
	Office  string
	Holder  string // the candidate's name, unique among candidates
	Address string // of the candidate's Beacon; "" if it has none
	TTL     time.Duration

	// Above is the greatest term number seen by whoever checks the fences. The new
	// term's number is greater, whatever the driver remembers, so that numbers grow
	// even if the driver lost its data or another driver kept the leases before. It is
	// greater by at most 1<<53, so that numbers never run out.
	Above int64

	// Over is a term whose holder is known to be dead, so that nobody need wait until
	// its lease runs out; zero if there is none. It has no effect unless it is the
	// current term.
	Over proget.Fence
}

// A Lease is one term of an office.
type Lease struct {
	Office  string
	Holder  string
	Address string        // of the holder's Beacon; "" if it has none
	TTL     time.Duration // always positive, counted from the last renewal, perhaps less than the candidate asked for; from Current, the time left
	Fence   proget.Fence  // greater than any earlier one of the office
}

// A Driver keeps leases. Its methods take and return plain data, so that a plugin can
// map each method to one call. Time is counted where the leases are kept.
//
// A method returns when its ctx has ended, whatever it waits for, because an Elector
// waits for its calls. The state of the lease is then unknown.
//
// Package electiontest tests a driver.
type Driver interface {
	// Acquire begins a term if nobody holds the office, its lease has run out or its
	// term is c.Over; otherwise it returns ErrHeld. A candidate that already holds the
	// office, because it did not get an answer, begins a new term; terms never stack.
	Acquire(ctx context.Context, c Candidacy) (Lease, error)

	// Renew extends the term by its TTL from now, or returns ErrLost if another term
	// has begun or may begin: a term that was released or whose lease has run out does
	// not come back, even if nobody else has asked yet.
	Renew(ctx context.Context, l Lease) error

	// Release ends the term at once. It returns nil if the term is already over.
	Release(ctx context.Context, l Lease) error

	// Current returns the current term, or ErrNone. It should cost little, because
	// every candidate calls it every few seconds.
	Current(ctx context.Context, office string) (Lease, error)
}
