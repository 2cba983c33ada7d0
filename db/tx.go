package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/internal/tracing"
	"github.com/proget-go/ha/proget"
)

// executor is what *sql.DB and *sql.Tx have in common.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// conn runs named queries for one attempt of an operation.
type conn struct {
	queries  map[string]query
	exec     executor
	prepared *prepared // the pool's statements; nil if they are not cached here
	tx       *sql.Tx   // nil outside a transaction
	until    time.Time // when the attempt and each of its statements must end
}

// A Tx is a transaction in progress. It is valid within its closure only.
//
// The closure must return the errors of these methods: after one, the engine may accept
// nothing but the end of the transaction. Errors that this package itself detects match
// their kind, such as proget.ErrNotFound or proget.ErrStale, at once. An error that the
// engine returns, as for a unique key that exists or an unavailable server, is the
// engine's own within the closure, because the store decides by it whether to run the
// closure again; it matches its kind, such as proget.ErrConflict, once it leaves the
// store.
type Tx struct {
	conn
	attempt  int // 1 for the first run of the closure
	classify func(error) driver.Kind
}

// bind returns a query and its arguments in the engine's own form.
func (c *conn) bind(name string, named []sql.NamedArg) (query, []any, error) {
	q, ok := c.queries[name]
	if !ok {
		return q, nil, fmt.Errorf("there is no query %s", name)
	}
	args, err := q.args(named)
	if err != nil {
		return q, nil, fmt.Errorf("query %s: %w", name, err)
	}
	for _, a := range named {
		if text, ok := a.Value.(string); ok && !isText(text) {
			return q, nil, proget.Errorf(proget.ErrInvalid, "The request contains text that is not valid UTF-8 or contains a zero byte.")
		}
	}
	return q, args, nil
}

// isText reports whether every engine accepts s as text.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// statements returns the statements of a query, bound to the transaction's connection
// if there is a transaction.
func (c *conn) statements(ctx context.Context, name string, q query) ([]*sql.Stmt, error) {
	kept, err := c.prepared.of(ctx, name, q)
	if err != nil || c.tx == nil {
		return kept, err
	}
	bound := make([]*sql.Stmt, len(kept))
	for i, st := range kept {
		bound[i] = c.tx.StmtContext(ctx, st)
	}
	return bound, nil
}

func (c *conn) rows(ctx context.Context, name string, named []sql.NamedArg) (*sql.Rows, error) {
	q, args, err := c.bind(name, named)
	if err != nil {
		return nil, err
	}
	if c.prepared == nil {
		return c.exec.QueryContext(ctx, q.text, args...)
	}
	all, err := c.statements(ctx, name, q)
	if err != nil {
		return nil, err
	}
	last := len(all) - 1
	for _, st := range all[:last] {
		if _, err := st.ExecContext(ctx, args...); err != nil {
			return nil, err
		}
	}
	return all[last].QueryContext(ctx, args...)
}

// execute runs a query and returns the result of its last statement.
func (c *conn) execute(ctx context.Context, name string, named []sql.NamedArg) (res sql.Result, err error) {
	q, args, err := c.bind(name, named)
	if err != nil {
		return nil, err
	}
	if c.prepared == nil {
		return c.exec.ExecContext(ctx, q.text, args...)
	}
	all, err := c.statements(ctx, name, q)
	if err != nil {
		return nil, err
	}
	for _, st := range all {
		if res, err = st.ExecContext(ctx, args...); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// each calls scan for every row.
func (c *conn) each(ctx context.Context, name string, named []sql.NamedArg, scan func(*sql.Rows) error) (err error) {
	ctx, end := tracing.Start(ctx, "query "+name)
	defer func() { end(err) }()
	ctx, cancel := context.WithDeadline(ctx, c.until)
	defer cancel()
	rows, err := c.rows(ctx, name, named)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// errNoRecord is the error of a query for one row that finds none.
var errNoRecord = proget.Errorf(proget.ErrNotFound, "There is no such record.")

// one scans the only row, or returns errNoRecord.
func (c *conn) one(ctx context.Context, name string, named []sql.NamedArg, dest ...any) error {
	found := false
	err := c.each(ctx, name, named, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	})
	if err == nil && !found {
		return errNoRecord
	}
	return err
}

// run executes a statement and returns how many rows it changed.
func (c *conn) run(ctx context.Context, name string, named ...sql.NamedArg) (_ int64, err error) {
	ctx, end := tracing.Start(ctx, "query "+name)
	defer func() { end(err) }()
	ctx, cancel := context.WithDeadline(ctx, c.until)
	defer cancel()
	res, err := c.execute(ctx, name, named)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert adds a row that several transactions may find missing at once: if another
// inserts it first, ErrTryAgain makes the store run this one again, which then finds
// it.
func (tx *Tx) insert(ctx context.Context, name string, named ...sql.NamedArg) error {
	_, err := tx.run(ctx, name, named...)
	if err != nil && tx.classify(err) == driver.Unique {
		return ErrTryAgain
	}
	return err
}

// put updates a row, or inserts it.
func (tx *Tx) put(ctx context.Context, update, insert string, named ...sql.NamedArg) error {
	n, err := tx.run(ctx, update, named...)
	if err == nil && n == 0 {
		err = tx.insert(ctx, insert, named...)
	}
	return err
}

// Tx runs fn in a transaction and commits it if fn returns nil. It runs fn again if the
// engine's error says that this may succeed, until the context's deadline or for
// Options.Patience, whichever is sooner; each attempt may take Options.Attempt. fn must
// have no effects outside the transaction.
//
// If the reply to a commit is lost, Tx runs fn again, too, although the commit may have
// succeeded: fn then finds its work done, or does the same once more. An error after
// such an attempt matches ErrUncertain. Work that must not be repeated, such as adding
// to a number, belongs in TxOnce, or in Change, which detects its own earlier commit.
func (s *Store) Tx(ctx context.Context, fn func(*Tx) error) error {
	unknown, err := s.transact(ctx, s.changing, fn)
	if err != nil && unknown {
		err = &uncertain{err}
	}
	return err
}

// TxOnce is Tx for work that must not be done twice: an attempt that does not learn the
// outcome of its commit is the last, and the error matches ErrUncertain.
func (s *Store) TxOnce(ctx context.Context, fn func(*Tx) error) error {
	return s.retry(ctx, s.pools.Write, s.changing, func(ctx context.Context, attempt int) error {
		unknown, err := s.try(ctx, attempt, fn)
		if unknown {
			err = &uncertain{proget.WrapError(proget.ErrUnavailable, err, "The database did not say whether the change was made.")}
		}
		return err
	})
}

// ErrUncertain is matched by the errors of Tx and TxOnce, in addition to their kind, if
// an attempt sent a commit and did not learn its outcome: what made the last attempt
// fail may be the work of that one.
var ErrUncertain = errors.New("an earlier attempt may have been committed")

type uncertain struct{ error }

func (*uncertain) Is(target error) bool { return target == ErrUncertain }

func (e *uncertain) Unwrap() error { return e.error }

// transact is Tx. unknown reports whether one of the attempts sent a commit and did not
// learn its outcome.
func (s *Store) transact(ctx context.Context, b bounds, fn func(*Tx) error) (unknown bool, err error) {
	err = s.retry(ctx, s.pools.Write, b, func(ctx context.Context, attempt int) error {
		lost, err := s.try(ctx, attempt, fn)
		unknown = unknown || lost
		return err
	})
	return unknown, err
}

func (s *Store) try(ctx context.Context, attempt int, fn func(*Tx) error) (unknown bool, err error) {
	ctx, end := tracing.Start(ctx, "transaction", attribute.Int("attempt", attempt))
	defer func() { end(err) }()
	sqlTx, err := s.pools.Write.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = sqlTx.Rollback() }() // does nothing after a commit
	c := s.conn(ctx, s.pools.Write)
	c.exec, c.tx = sqlTx, sqlTx
	if err := fn(&Tx{conn: c, attempt: attempt, classify: s.drv.Classify}); err != nil {
		return false, err
	}
	err = sqlTx.Commit()
	return err != nil && !s.rolledBack(err), err
}

// rolledBack reports whether an error says that the engine itself has rolled the
// transaction back.
func (s *Store) rolledBack(err error) bool {
	switch s.drv.Classify(err) {
	case driver.Unique, driver.ForeignKey, driver.Retry, driver.Full:
		return true
	}
	return false
}

// conn returns a conn that runs queries on a pool until the attempt's context ends.
func (s *Store) conn(attempt context.Context, pool *sql.DB) conn {
	until, _ := attempt.Deadline()
	return conn{queries: s.queries, exec: pool, prepared: s.prepared[pool], until: until}
}

// on runs queries on a pool outside a transaction, and retries them if that may help.
func (s *Store) on(ctx context.Context, pool *sql.DB, b bounds, fn func(*conn) error) error {
	return s.retry(ctx, pool, b, func(ctx context.Context, _ int) error {
		c := s.conn(ctx, pool)
		return fn(&c)
	})
}

// read runs a read that a client waits for.
func (s *Store) read(ctx context.Context, fn func(*conn) error) error {
	return s.on(ctx, s.pools.Read, s.reading, fn)
}

// readVital runs a read on which the cluster depends.
func (s *Store) readVital(ctx context.Context, fn func(*conn) error) error {
	return s.on(ctx, s.pools.Read, vital, fn)
}

// readOld runs a read that may be a moment old: on a replica, or like any other read if
// there is none or it fails.
func (s *Store) readOld(ctx context.Context, fn func(*conn) error) error {
	if s.pools.Replica != nil {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		c := s.conn(attempt, s.pools.Replica)
		if err := fn(&c); err == nil || ctx.Err() != nil {
			return s.wrap(err)
		}
	}
	return s.read(ctx, fn)
}

// write runs a single statement that is harmless to repeat.
func (s *Store) write(ctx context.Context, fn func(*conn) error) error {
	return s.on(ctx, s.pools.Write, s.changing, fn)
}

// writeVital is write for statements on which the cluster depends.
func (s *Store) writeVital(ctx context.Context, fn func(*conn) error) error {
	return s.on(ctx, s.pools.Write, vital, fn)
}

// atomically runs fn, which runs one query that changes data, in a transaction. If the
// query is a single statement for the engine, it needs no explicit transaction, which
// saves two round trips.
func (s *Store) atomically(ctx context.Context, name string, fn func(*conn) error) error {
	if len(s.queries[name].statements()) == 1 {
		return s.write(ctx, fn)
	}
	return s.Tx(ctx, func(tx *Tx) error { return fn(&tx.conn) })
}

// bounds are the limits of one operation.
type bounds struct {
	patience time.Duration // from the beginning of its first to the end of its last attempt
	attempt  time.Duration // for each attempt: a frozen server never answers, and another may have taken over
	wait     time.Duration // maximum pause between two attempts

	// vital operations keep the cluster together: they do not queue behind clients'
	// operations, and some connections are reserved for them.
	vital bool
}

// vital limits heartbeats, leases and the like.
var vital = bounds{patience: 15 * time.Second, attempt: 10 * time.Second, wait: 500 * time.Millisecond, vital: true}

// retry runs fn, which uses a pool, until it succeeds, fails for good, or its time is up.
// The pauses between attempts grow from 5 ms and are jittered, so that operations that
// collided do not collide again.
func (s *Store) retry(ctx context.Context, pool *sql.DB, b bounds, fn func(ctx context.Context, attempt int) error) error {
	if !b.vital {
		select {
		case s.queue <- struct{}{}:
			defer func() { <-s.queue }()
		default:
			return proget.Errorf(proget.ErrUnavailable, "Too many requests wait for the database. Try again shortly.")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	wait := 5 * time.Millisecond
	for n := 1; ; n++ {
		began := time.Now()
		late, err := s.attempt(ctx, pool, b, n, fn)
		if err != nil && s.closed.Load() {
			return proget.WrapError(proget.ErrUnavailable, ErrClosed, "This server is stopping. Try again shortly.")
		}
		if err == nil || !s.again(err, late) {
			return s.wrap(err)
		}
		away := s.drv.Classify(err) == driver.Unavailable
		if late || away {
			s.breaks.Add(1)
		}
		if late && b.attempt >= frozen || away {
			s.dropIdle(began)
		}
		select {
		case <-ctx.Done():
			return s.wrap(err)
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, b.wait)
	}
}

// attempt runs fn once. late reports that it ran out of time.
func (s *Store) attempt(ctx context.Context, pool *sql.DB, b bounds, n int, fn func(context.Context, int) error) (late bool, err error) {
	if working := s.working[pool]; !b.vital && working != nil {
		select {
		case working <- struct{}{}:
			defer func() { <-working }()
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	ctx, end := context.WithTimeout(ctx, b.attempt)
	defer end()
	err = fn(ctx, n)
	until, _ := ctx.Deadline() // also that of each statement, whose context may end a moment before this one
	return ctx.Err() != nil || !time.Now().Before(until), err
}

// ErrClosed is the cause of errors of operations after the store was closed.
var ErrClosed = errors.New("the database is closed")

// ErrTryAgain may be returned by a transaction's closure to make the store run it
// again.
var ErrTryAgain = errors.New("the transaction is to be tried again")

// again reports whether another attempt may succeed after an error. late means that the
// attempt ran out of time.
func (s *Store) again(err error, late bool) bool {
	if errors.As(err, new(*proget.Error)) || errors.Is(err, context.Canceled) {
		return false
	}
	switch s.drv.Classify(err) {
	case driver.Retry, driver.ForeignKey, driver.Unavailable:
		return true
	case driver.Other:
		return late || errors.Is(err, ErrTryAgain)
	}
	return false
}

// frozen is how long a server may take to answer before its connections are closed. A
// busy server also takes a second, and would be busier if all clients reconnected.
const frozen = 5 * time.Second

// dropIdle closes the idle connections. If one connection is dead, or leads to a server
// that is no longer the primary, the others probably are or do, too: it is better to
// replace all at once than to let one operation after the other find out. Connections
// that were made since must be given time: an operation that began before the last call
// says nothing about them.
func (s *Store) dropIdle(began time.Time) {
	s.dropping.Lock()
	defer s.dropping.Unlock()
	if began.Before(s.dropped) || time.Since(s.dropped) < frozen {
		return
	}
	s.dropped = time.Now()
	for _, pool := range s.pools.All() {
		pool.SetMaxIdleConns(-1)
		pool.SetMaxIdleConns(pool.Stats().MaxOpenConnections)
	}
}
