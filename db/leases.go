package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/proget-go/ha/proget"
)

// A LeaseRequest is the argument of AcquireLease.
type LeaseRequest struct {
	Office, Holder, Address string
	Term                    string // random, and new each time
	TTL                     time.Duration
	Above                   int64        // the new fence's number must be greater
	Over                    proget.Fence // a lease to regard as expired; zero if none
}

// A Lease is a row of the table of leases.
type Lease struct {
	Holder, Address string
	Fence           proget.Fence
	Remaining       time.Duration
}

// greatestFence leaves more greater numbers than there will ever be terms.
const greatestFence = 1 << 62

// AcquireLease takes an office that is free, whose lease has expired by the database's
// clock, that the same candidate holds, or that is held under r.Over, and reports
// whether it did. The fence's number grows each time, so a holder that asks again gets
// a new term. It returns proget.ErrInvalid if r.Above is too close to the greatest
// number.
func (s *Store) AcquireLease(ctx context.Context, r LeaseRequest) (proget.Fence, bool, error) {
	if r.Above > greatestFence {
		return proget.Fence{}, false, proget.Errorf(proget.ErrInvalid, "a term of %s above %d would come near the end of all numbers", r.Office, r.Above)
	}
	f := proget.Fence{Term: r.Term}
	err := one(ctx, s.writeVital, "AcquireLease", []sql.NamedArg{arg("office", r.Office), arg("holder", r.Holder), arg("address", r.Address),
		arg("term", r.Term), arg("ttl", r.TTL.Microseconds()), arg("next", r.Above+1),
		arg("over", r.Over.Number), arg("over_term", r.Over.Term)}, &f.Number)
	if errors.Is(err, proget.ErrNotFound) || errors.Is(err, proget.ErrConflict) {
		return proget.Fence{}, false, nil // another holds it, or was first to create the row
	}
	return f, err == nil, err
}

// RenewLease extends a lease and reports whether it did: it does not renew one that is
// not the newest, has expired or was released.
func (s *Store) RenewLease(ctx context.Context, office string, f proget.Fence, ttl time.Duration) (bool, error) {
	n, err := s.lease(ctx, "RenewLease", office, f, arg("ttl", ttl.Microseconds()))
	return n > 0, err
}

// ReleaseLease frees an office at once, if the lease is still the newest.
func (s *Store) ReleaseLease(ctx context.Context, office string, f proget.Fence) error {
	_, err := s.lease(ctx, "ReleaseLease", office, f)
	return err
}

func (s *Store) lease(ctx context.Context, name, office string, f proget.Fence, more ...sql.NamedArg) (n int64, err error) {
	named := append(more, arg("office", office), arg("fence", f.Number), arg("term", f.Term))
	return run(ctx, s.writeVital, name, named...)
}

// CurrentLease returns the lease of an office, or proget.ErrNotFound if nobody holds
// it.
func (s *Store) CurrentLease(ctx context.Context, office string) (Lease, error) {
	var l Lease
	err := one(ctx, s.readVital, "CurrentLease", []sql.NamedArg{arg("office", office)},
		&l.Holder, &l.Address, &l.Fence.Number, &l.Fence.Term, (*span)(&l.Remaining))
	return l, err
}

// SeenFence returns the greatest fence number under which LeaderTx has written for an
// office, or 0.
func (s *Store) SeenFence(ctx context.Context, office string) (int64, error) {
	var f proget.Fence
	err := one(ctx, s.writeVital, "FindFence", []sql.NamedArg{arg("office", office)}, &f.Number, &f.Term)
	if errors.Is(err, proget.ErrNotFound) {
		err = nil
	}
	return f.Number, err
}

// LeaderTx runs fn in a transaction that first raises the office's fence. It changes
// nothing and returns proget.ErrStale if it finds a newer fence, or the same number
// under another term, as happens when a database has lost its newest commits and issued
// the number again.
func (s *Store) LeaderTx(ctx context.Context, office string, f proget.Fence, fn func(*Tx) error) error {
	return s.Tx(ctx, func(tx *Tx) error {
		if err := tx.raiseFence(ctx, office, f); err != nil {
			return err
		}
		return fn(tx)
	})
}

func (tx *Tx) raiseFence(ctx context.Context, office string, f proget.Fence) error {
	named := []sql.NamedArg{arg("office", office), arg("fence", f.Number), arg("term", f.Term)}
	n, err := tx.run(ctx, "RaiseFence", named...)
	if err != nil || n > 0 {
		return err
	}
	var seen proget.Fence
	err = tx.one(ctx, "FindFence", named[:1], &seen.Number, &seen.Term)
	if errors.Is(err, proget.ErrNotFound) {
		return tx.insert(ctx, "InsertFence", named...)
	}
	if err != nil {
		return err
	}
	if seen == f || seen.Number < f.Number {
		return ErrTryAgain // it was inserted after the first statement looked for it
	}
	return proget.Errorf(proget.ErrStale, "term %d of %s is over: term %d has begun", f.Number, office, seen.Number)
}

// A Term is the time during which a holder is known to have held an office.
type Term struct {
	Fence       int64
	Holder      string
	Began, Seen time.Time
	Now         time.Time // the database's clock at the time of the query
}

// BeginTerm records that a term has begun.
func (tx *Tx) BeginTerm(ctx context.Context, office string, f proget.Fence, holder string) error {
	return tx.insert(ctx, "InsertTerm", arg("office", office), arg("fence", f.Number), arg("holder", holder))
}

// KeepTerm records that a term continues.
func (tx *Tx) KeepTerm(ctx context.Context, office string, f proget.Fence) error {
	_, err := tx.run(ctx, "KeepTerm", arg("office", office), arg("fence", f.Number))
	return err
}

// Terms returns the terms of an office that were last seen less than within ago, oldest
// first.
func (s *Store) Terms(ctx context.Context, office string, within time.Duration) ([]Term, error) {
	return list(ctx, s.read, "ListTerms", (*Term).fields, arg("office", office), arg("within", within.Microseconds()))
}

func (t *Term) fields() []any {
	return []any{&t.Fence, &t.Holder, (*instant)(&t.Began), (*instant)(&t.Seen), (*instant)(&t.Now)}
}

// DeleteOldTerms deletes terms that were last seen longer ago than olderThan.
func (tx *Tx) DeleteOldTerms(ctx context.Context, olderThan time.Duration) error {
	_, err := tx.run(ctx, "DeleteOldTerms", arg("older_than", olderThan.Microseconds()))
	return err
}
