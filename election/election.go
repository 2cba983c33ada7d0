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
	Address string // where the candidate can be reached; "" if nowhere
	TTL     time.Duration
}

// A Lease is one term of an office.
type Lease struct {
	Candidacy
	Fence proget.Fence // greater than any earlier one of the office
}

// A Driver keeps leases. Its methods take and return plain data, so that a
// plugin maps one method to one call. Time is counted where the leases are
// kept. electiontest proves a driver.
type Driver interface {
	// Acquire begins a term, or returns ErrHeld. A candidate that holds the
	// office already, because it did not get an answer, begins a new term;
	// terms never stack.
	Acquire(ctx context.Context, c Candidacy) (Lease, error)

	// Renew extends the term by its TTL from now, or returns ErrLost if
	// another has begun.
	Renew(ctx context.Context, l Lease) error

	// Release ends the term at once. A term that is over already is no error.
	Release(ctx context.Context, l Lease) error

	// Current returns the present term, or ErrNone.
	Current(ctx context.Context, office string) (Lease, error)
}
