// Package dblease keeps leases as rows of the product's own database: holder, the
// address of its beacon, fence, a random term id and an expiry by the database's clock.
// It uses no session locks: connection pools recycle them, poolers break them, and they
// stack.
package dblease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// New returns a driver that keeps its leases in s.
func New(s *db.Store) election.Driver { return driver{s} }

type driver struct{ store *db.Store }

func (d driver) Acquire(ctx context.Context, c election.Candidacy) (election.Lease, error) {
	f, won, err := d.store.AcquireLease(ctx, db.LeaseRequest{Office: c.Office, Holder: c.Holder, Address: c.Address,
		Term: rand.Text(), TTL: c.TTL, Above: c.Above, Over: c.Over})
	if err != nil {
		return election.Lease{}, fmt.Errorf("acquire the office %s: %w", c.Office, err)
	}
	if !won {
		return election.Lease{}, election.ErrHeld
	}
	return election.Lease{Office: c.Office, Holder: c.Holder, Address: c.Address, TTL: c.TTL, Fence: f}, nil
}

func (d driver) Renew(ctx context.Context, l election.Lease) error {
	kept, err := d.store.RenewLease(ctx, l.Office, l.Fence, l.TTL)
	if err != nil {
		return fmt.Errorf("renew the office %s: %w", l.Office, err)
	}
	if !kept {
		return election.ErrLost
	}
	return nil
}

func (d driver) Release(ctx context.Context, l election.Lease) error {
	if err := d.store.ReleaseLease(ctx, l.Office, l.Fence); err != nil {
		return fmt.Errorf("release the office %s: %w", l.Office, err)
	}
	return nil
}

func (d driver) Current(ctx context.Context, office string) (election.Lease, error) {
	l, err := d.store.CurrentLease(ctx, office)
	if errors.Is(err, proget.ErrNotFound) {
		return election.Lease{}, election.ErrNone
	}
	if err != nil {
		return election.Lease{}, fmt.Errorf("look up the office %s: %w", office, err)
	}
	return election.Lease{Office: office, Holder: l.Holder, Address: l.Address, TTL: l.Remaining, Fence: l.Fence}, nil
}
