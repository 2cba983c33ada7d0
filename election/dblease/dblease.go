// Package dblease keeps leases as rows of the product's own database: holder,
// fence, a random term id and an expiry by the database's clock. It uses no
// session locks: connection pools recycle them, poolers break them, and they
// stack.
package dblease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// Store is the part of *db.Store that this package uses.
type Store interface {
	AcquireLease(ctx context.Context, office, holder, address, term string, ttl time.Duration) (proget.Fence, bool, error)
	RenewLease(ctx context.Context, office string, f proget.Fence, ttl time.Duration) (bool, error)
	ReleaseLease(ctx context.Context, office string, f proget.Fence) error
	CurrentLease(ctx context.Context, office string) (holder, address string, f proget.Fence, remaining time.Duration, err error)
}

// New returns a driver over a database.
func New(s Store) election.Driver { return driver{s} }

type driver struct{ store Store }

func (d driver) Acquire(ctx context.Context, c election.Candidacy) (election.Lease, error) {
	f, won, err := d.store.AcquireLease(ctx, c.Office, c.Holder, c.Address, rand.Text(), c.TTL)
	if err != nil {
		return election.Lease{}, fmt.Errorf("acquire the office %s: %w", c.Office, err)
	}
	if !won {
		return election.Lease{}, election.ErrHeld
	}
	return election.Lease{Candidacy: c, Fence: f}, nil
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
	holder, address, f, remaining, err := d.store.CurrentLease(ctx, office)
	if errors.Is(err, proget.ErrNotFound) {
		return election.Lease{}, election.ErrNone
	}
	if err != nil {
		return election.Lease{}, fmt.Errorf("look up the office %s: %w", office, err)
	}
	c := election.Candidacy{Office: office, Holder: holder, Address: address, TTL: remaining}
	return election.Lease{Candidacy: c, Fence: f}, nil
}
