package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/internal/recurring"
	"github.com/proget-go/ha/proget"
)

// A Store is an open database. It is safe for concurrent use.
type Store struct {
	drv      driver.Driver
	pools    driver.Pools
	queries  map[string]query
	log      *slog.Logger
	queue    chan struct{}             // holds an element for each operation that waits or runs
	working  map[*sql.DB]chan struct{} // by pool, holds an element for each operation that runs; empty for a pool that limits them itself
	reading  bounds
	changing bounds
	prepared map[*sql.DB]*prepared // empty if the driver does not set Prepare
	seen     atomic.Pointer[seen]  // the newest heads
	changes  atomic.Int64          // see Changes
	full     atomic.Bool           // see Full
	breaks   atomic.Int64          // attempts that Breaks counts
	closed   atomic.Bool

	dropping sync.Mutex
	dropped  time.Time // when idle connections were last closed
}

// Options configure a Store. The zero value is ready to use.
type Options struct {
	Logger *slog.Logger // default: slog.Default()

	// Patience limits how long a change is retried if its context has no earlier
	// deadline, so that clients need not notice a failover. Reads are retried for a
	// third of it; operations that keep the cluster together have a limit of their own.
	// Default: 45 s.
	Patience time.Duration

	// Attempt limits one attempt, because a server may freeze while another takes over.
	// Default: 10 s.
	Attempt time.Duration

	// Queue limits how many operations may run or wait; further ones are refused at
	// once. Default: 1000.
	Queue int

	// NoMigrate leaves the schema unchanged: Open returns proget.ErrInvalid if the
	// schema is older than this version needs. Set it where nodes may not run DDL.
	NoMigrate bool
}

// check returns an error if a number is negative; 0 already selects the default.
func (o *Options) check() error {
	for field, n := range map[string]int64{"Patience": int64(o.Patience), "Attempt": int64(o.Attempt), "Queue": int64(o.Queue)} {
		if n < 0 {
			return fmt.Errorf("%s is negative; 0 means its default", field)
		}
	}
	return nil
}

// Open opens the database and, unless opts.NoMigrate is set, brings its schema up to
// date. opts may be nil.
func Open(ctx context.Context, d driver.Driver, opts *Options) (*Store, error) {
	if d == nil {
		return nil, errors.New("a database needs a driver, such as those of package db/postgres and its neighbours")
	}
	if opts == nil {
		opts = &Options{}
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	patience, attempt := cmp.Or(opts.Patience, 45*time.Second), cmp.Or(opts.Attempt, 10*time.Second)
	s := &Store{drv: d, log: opts.Logger, queue: make(chan struct{}, cmp.Or(opts.Queue, 1000)),
		changing: bounds{patience: patience, attempt: attempt, wait: 500 * time.Millisecond},
		reading:  bounds{patience: patience / 3, attempt: attempt, wait: 500 * time.Millisecond}}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.seen.Store(new(seen))
	var err error
	if s.queries, err = loadQueries(d); err != nil {
		return nil, err
	}
	if s.pools, err = s.openPools(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", d.Name(), err)
	}
	s.working = make(map[*sql.DB]chan struct{})
	for _, pool := range []*sql.DB{s.pools.Write, s.pools.Read} {
		if n := share(pool); n > 0 {
			s.working[pool] = make(chan struct{}, n)
		}
	}
	if err := s.prepare(ctx, !opts.NoMigrate); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openPools opens the pools. If that takes more than a second, it logs what it waits
// for, and why.
func (s *Store) openPools(ctx context.Context) (pools driver.Pools, err error) {
	const quiet, what = time.Second, "the database has not answered yet; waiting for it"
	log := s.log.With("engine", s.drv.Name())
	if at, ok := s.drv.(driver.Addressed); ok {
		log = log.With("address", at.Address())
	}
	var failure recurring.Failure
	var last atomic.Pointer[error]
	began := time.Now()
	silence := time.AfterFunc(quiet, func() {
		if reason := last.Load(); reason != nil {
			failure.Warn(ctx, log, what, *reason)
		} else {
			log.WarnContext(ctx, what)
		}
	})
	defer silence.Stop()
	err = s.retry(ctx, nil, s.reading, func(context.Context, int) error { // the driver limits each attempt
		var err error
		if pools, err = s.drv.Open(ctx); err == nil || !s.again(err, false) {
			return err
		}
		last.Store(&err)
		if time.Since(began) > quiet {
			failure.Warn(ctx, log, what, err)
		}
		return err
	})
	return pools, err
}

// reserved is how many connections of a large pool are reserved for operations that
// keep the cluster together.
const reserved = 4

// share returns how many operations other than those may use a pool at once, or 0 if that
// is not limited here. Of a single connection, none can be reserved, but the others queue
// before the pool, so that those find at most one there.
func share(pool *sql.DB) int {
	switch n := pool.Stats().MaxOpenConnections; {
	case n == 1:
		return 1
	case n > 2*reserved:
		return n - reserved
	}
	return 0
}

func (s *Store) prepare(ctx context.Context, migrate bool) error {
	if err := s.checkSchema(ctx, migrate); err != nil {
		return err
	}
	if !s.pools.Prepare {
		return nil
	}
	s.prepared = make(map[*sql.DB]*prepared)
	for _, pool := range s.pools.All() {
		s.prepared[pool] = newPrepared(pool)
	}
	return s.prepared[s.pools.Write].all(ctx, s.queries)
}

// Engine returns the engine's name, for people.
func (s *Store) Engine() string { return s.drv.Name() }

// Close closes the pools. Later operations fail with ErrClosed.
func (s *Store) Close() error {
	s.closed.Store(true)
	var errs []error
	for _, p := range s.prepared {
		errs = append(errs, p.close())
	}
	for _, pool := range s.pools.All() {
		errs = append(errs, pool.Close())
	}
	if s.pools.Release != nil {
		errs = append(errs, s.pools.Release())
	}
	return errors.Join(errs...)
}

// Stamp returns a stamp of the database's state: if two are equal, nothing was
// committed between. ok is false if the engine cannot tell at almost no cost, or not
// right now.
func (s *Store) Stamp() (_ driver.Stamp, ok bool) {
	if s.pools.Stamp == nil {
		return driver.Stamp{}, false
	}
	return s.pools.Stamp()
}

// Ping reads the database's clock, for which it needs no table.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Clock(ctx)
	return err
}

// Clock returns the database's time.
func (s *Store) Clock(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := one(ctx, s.readVital, "Clock", nil, (*instant)(&now))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}

// Patience returns how long a change is retried.
func (s *Store) Patience() time.Duration { return s.changing.patience }

// wrap returns an engine's error as one of proget's kinds, if there is one for it.
func (s *Store) wrap(err error) error {
	if err == nil {
		return nil
	}
	if errors.As(err, new(*proget.Error)) || errors.Is(err, context.Canceled) {
		return err
	}
	switch s.drv.Classify(err) {
	case driver.Unique:
		return proget.WrapError(proget.ErrConflict, err, "This already exists.")
	case driver.Retry, driver.ForeignKey, driver.Unavailable:
		return proget.WrapError(proget.ErrUnavailable, err, "The database cannot answer right now. Try again shortly.")
	case driver.Full:
		return proget.WrapError(proget.ErrNoSpace, err, "The database has no space left. Nothing was changed; try again when its administrator has made room.")
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return proget.WrapError(proget.ErrUnavailable, err, "The database did not answer in time. Try again shortly.")
	case errors.Is(err, ErrTryAgain):
		return proget.WrapError(proget.ErrUnavailable, err, "Too many others are changing the same data. Try again shortly.")
	}
	return err
}
