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

// A Candidacy is what a candidate asks for.
type Candidacy struct {
	Office  string
	Holder  string // the candidate's name, unique among them
	Address string // of the candidate's Beacon; "" if it has none
	TTL     time.Duration

	// Above is the greatest number of a term that whoever checks the fences has
	// seen. The new term's is greater, whatever the driver remembers: so numbers
	// grow although the driver lost its data, or another one kept the leases
	// before. It is greater by 1<<53 at most, so that there are always more.
	Above int64

	// Over is a term whose holder is known to be dead, so that its lease need
	// not run out; zero if there is none. It must be the present term to have an
	// effect.
	Over proget.Fence
}

// A Lease is one term of an office.
type Lease struct {
	Office  string
	Holder  string
	Address string        // of the holder's Beacon; "" if it has none
	TTL     time.Duration // from the last renewal, perhaps less than was asked for, and never none; what is left of it in Current's answer
	Fence   proget.Fence  // greater than any earlier one of the office
}

// A Driver keeps leases. Its methods take and return plain data, so that a
// plugin maps one method to one call. Time is counted where the leases are
// kept.
//
// A method returns when its ctx has ended, whatever it waits for: an Elector
// waits for the calls that it made. What happens to the lease then is unknown.
//
// electiontest proves a driver.
type Driver interface {
	// Acquire begins a term if nobody holds the office, its lease has run out or
	// its term is c.Over; else it returns ErrHeld. A candidate that holds the
	// office already, because it did not get an answer, begins a new term; terms
	// never stack.
	Acquire(ctx context.Context, c Candidacy) (Lease, error)

	// Renew extends the term by its TTL from now, or returns ErrLost if another
	// has begun or may begin: a term that was released or whose lease has run out
	// does not come back, even if nobody else has asked yet.
	Renew(ctx context.Context, l Lease) error

	// Release ends the term at once. A term that is over already is no error.
	Release(ctx context.Context, l Lease) error

	// Current returns the present term, or ErrNone. Every candidate asks it
	// every few seconds: it should cost little.
	Current(ctx context.Context, office string) (Lease, error)
}
