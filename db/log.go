package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

// A Change is the entry that a transaction appends to a feed's log.
type Change struct {
	FeedID    int64
	Operation string // a new random id; distinguishes an own earlier commit from another's
	Actor     string

	// Check, if not nil, runs after the feed's row is locked and may refuse the change
	// by returning an error: it sees all earlier entries of the log, and none can come
	// between. All publishers of the feed wait for it.
	Check func(*Tx) error

	// Set by the transaction's closure.
	Kind       proget.Change
	PackageKey string
	VersionKey string
	Packages   int64 // added to the feed's totals, as are the next two
	Versions   int64
	Bytes      int64

	seq int64 // of its entry
}

// asking limits the query for the heads. All reads of a node wait for it, so it quickly
// gives up a connection and quickly notices that a database is back.
var asking = bounds{patience: 5 * time.Second, attempt: time.Second, wait: 50 * time.Millisecond, vital: true}

// Heads returns the newest log position of every feed by feed id. The caller must not
// modify the map.
func (s *Store) Heads(ctx context.Context) (map[int64]int64, error) {
	var heads map[int64]int64
	err := s.retry(ctx, s.pools.Read, asking, func(ctx context.Context, _ int) (err error) {
		heads, err = s.askHeads(ctx)
		return err
	})
	return heads, err
}

// seen are the heads in one state of the database.
type seen struct {
	state string
	heads map[int64]int64
}

func (s *Store) askHeads(ctx context.Context) (map[int64]int64, error) {
	if s.pools.Heads == nil {
		return s.queryHeads(ctx)
	}
	last := s.seen.Load()
	state, heads, err := s.pools.Heads(ctx, last.state)
	if err != nil || heads == nil {
		return last.heads, err
	}
	s.seen.Store(&seen{state, heads})
	return heads, nil
}

func (s *Store) queryHeads(ctx context.Context) (map[int64]int64, error) {
	c := s.conn(ctx, s.pools.Read)
	rows, err := c.rows(ctx, "Heads", nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	heads := make(map[int64]int64)
	for rows.Next() {
		var id, head int64
		if err := rows.Scan(&id, &head); err != nil {
			return nil, err
		}
		heads[id] = head
	}
	return heads, rows.Err()
}

// NewestEntries returns the newest entry of every feed's log. Only FeedID, Seq and
// Operation are set; Seq is 0 if the log has had no entries.
func (s *Store) NewestEntries(ctx context.Context) ([]proget.Entry, error) {
	return list(ctx, s.readVital, "NewestEntries", func(e *proget.Entry) []any { return []any{&e.FeedID, &e.Seq, &e.Operation} })
}

// Breaks counts the events after which reads may see another state of the database than
// before, even an older one: new connections, and attempts that timed out or found no
// server.
func (s *Store) Breaks() int64 {
	n := s.breaks.Load()
	if s.pools.Connected != nil {
		n += s.pools.Connected()
	}
	return n
}

// LogAfter returns up to limit entries of a feed's log that follow the position after.
func (s *Store) LogAfter(ctx context.Context, feedID, after int64, limit int) ([]proget.Entry, error) {
	return list(ctx, s.readVital, "LogAfter", func(e *proget.Entry) []any {
		e.FeedID = feedID
		return []any{&e.Seq, &e.Change, &e.PackageKey, &e.VersionKey, &e.Actor, (*instant)(&e.At), &e.Operation}
	}, arg("feed_id", feedID), arg("after", after), arg("limit", limit))
}

// Change runs fn in a transaction and then appends ch to the feed's log; only then is
// the feed's row locked, and only briefly. fn fills in what changed. Change runs fn
// again under the same conditions as Tx does. If a commit's outcome was lost with its
// connection, the next attempt looks for the operation in the log and, if it is there,
// reports success rather than a false conflict. If the outcome of a commit cannot be
// determined, Change returns proget.ErrUnavailable.
func (s *Store) Change(ctx context.Context, ch *Change, fn func(*Tx) error) (seq int64, err error) {
	defer func() {
		s.changes.Add(1)
		if full := errors.Is(err, proget.ErrNoSpace); full || err == nil { // other failures say nothing about space
			s.full.Store(full)
		}
	}()
	attempts := 0
	unknown, err := s.transact(ctx, s.changing, func(tx *Tx) error {
		if attempts = tx.attempt; attempts > 1 {
			seq, err = tx.findOperation(ctx, ch.Operation)
			if !errors.Is(err, proget.ErrNotFound) {
				return err
			}
		}
		if err := fn(tx); err != nil {
			return err
		}
		seq, err = tx.append(ctx, ch)
		return err
	})
	if err != nil && (unknown || attempts > 1) {
		return s.settle(ctx, ch.Operation, unknown, err)
	}
	return seq, err
}

// Administer is Change for what belongs to the installation rather than to one feed,
// such as feeds themselves, accounts and settings: it appends to the system feed's log.
// No two run at the same time, so fn may replace what it finds.
func (s *Store) Administer(ctx context.Context, actor string, fn func(*Tx) error) error {
	ch := &Change{FeedID: proget.SystemFeed, Operation: rand.Text(), Actor: actor, Kind: proget.SystemChanged}
	_, err := s.Change(ctx, ch, func(tx *Tx) error {
		if _, err := tx.run(ctx, "LockFeedHead", arg("feed_id", proget.SystemFeed)); err != nil {
			return err
		}
		return fn(tx)
	})
	return err
}

// Changes counts the calls of Change that have returned, successful or not.
func (s *Store) Changes() int64 { return s.changes.Load() }

// Full reports whether a call of Change failed because the database has no space left,
// and none has succeeded since.
func (s *Store) Full() bool { return s.full.Load() }

// settle checks whether an operation that seems to have failed was committed by an
// earlier attempt. Its commit may have become visible after the last attempt looked for
// it and before that attempt found the work done: then the conflict is with itself.
func (s *Store) settle(ctx context.Context, operation string, unknown bool, failure error) (seq int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		seq, err = c.findOperation(ctx, operation)
		return err
	})
	switch {
	case err == nil:
		return seq, nil
	case !unknown, errors.Is(err, proget.ErrNotFound) && errors.Is(failure, proget.ErrConflict):
		return 0, failure // another operation has committed what this one conflicts with
	}
	return 0, proget.WrapError(proget.ErrUnavailable, failure, "The database did not say whether the change was made. Look, or try again shortly.")
}

func (c *conn) findOperation(ctx context.Context, operation string) (seq int64, err error) {
	err = c.one(ctx, "FindOperation", []sql.NamedArg{arg("operation", operation)}, &seq)
	return seq, err
}

func (tx *Tx) append(ctx context.Context, ch *Change) (seq int64, err error) {
	err = tx.one(ctx, "AppendLog", []sql.NamedArg{
		arg("feed_id", ch.FeedID), arg("kind", string(ch.Kind)),
		arg("package_key", ch.PackageKey), arg("version_key", ch.VersionKey), arg("actor", ch.Actor),
		arg("operation", ch.Operation),
		arg("packages_diff", ch.Packages), arg("versions_diff", ch.Versions), arg("bytes_diff", ch.Bytes)}, &seq)
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.Errorf(proget.ErrNotFound, "The feed has been deleted.")
	}
	if ch.seq = seq; err == nil && ch.Check != nil {
		err = ch.Check(tx)
	}
	return seq, err
}

// Unchanged is meant for a Change's Check: it returns ErrChanged if the log has other
// entries of the package after the position since.
func (tx *Tx) Unchanged(ctx context.Context, ch *Change, since int64) error {
	var others int64
	err := tx.one(ctx, "CountPackageEntries", []sql.NamedArg{arg("feed_id", ch.FeedID), arg("package_key", ch.PackageKey),
		arg("after", since), arg("before", ch.seq)}, &others)
	if err == nil && others > 0 {
		err = ErrChanged
	}
	return err
}

// ErrChanged means that a change was not made because its package has changed since it
// was examined.
var ErrChanged = errors.New("the package has changed meanwhile")

// ErrCompacted means that the oldest requested entries are no longer in the log: a
// follower must read the present state instead.
var ErrCompacted = errors.New("the log does not go back so far")

// A LogRange describes the entries in a feed's log.
type LogRange struct {
	FeedID      int64
	First, Last int64 // sequence numbers
	Slowest     int64 // position of the follower that is furthest behind; Last if there is none
}

// LogRanges returns the ranges of all logs that have entries.
func (s *Store) LogRanges(ctx context.Context) ([]LogRange, error) {
	var ranges []LogRange
	err := s.read(ctx, func(c *conn) error {
		ranges = nil
		return c.each(ctx, "ListLogs", nil, func(rows *sql.Rows) error {
			var r LogRange
			var first, last, slowest sql.NullInt64
			if err := rows.Scan(&r.FeedID, &first, &last, &slowest); err != nil || !first.Valid {
				return err
			}
			r.First, r.Last, r.Slowest = first.Int64, last.Int64, last.Int64
			if slowest.Valid {
				r.Slowest = slowest.Int64
			}
			ranges = append(ranges, r)
			return nil
		})
	})
	return ranges, err
}

// CompactLog removes the oldest entries of a feed's log: those up to upto that come
// before the first entry, of those from first on, that is younger than kept, so that no
// gap arises. It returns the number of that entry, or upto + 1 if there is none.
func (s *Store) CompactLog(ctx context.Context, feedID, first, upto int64, kept time.Duration) (next int64, err error) {
	err = s.Tx(ctx, func(tx *Tx) error {
		var young sql.NullInt64
		err := tx.one(ctx, "FirstYoungEntry", []sql.NamedArg{arg("feed_id", feedID), arg("first", first), arg("upto", upto), arg("kept", kept.Microseconds())}, &young)
		if err != nil {
			return err
		}
		if next = upto + 1; young.Valid {
			next = young.Int64
		}
		_, err = tx.run(ctx, "DeleteEntries", arg("feed_id", feedID), arg("before", next))
		return err
	})
	return next, err
}

// FollowerPositions returns a follower's position in each feed's log. Feeds that it has
// never followed are missing.
func (s *Store) FollowerPositions(ctx context.Context, follower string) (map[int64]int64, error) {
	return table(ctx, s.read, "FollowerPositions", columns[int64, int64], arg("name", follower))
}

// MoveFollower advances a follower's position in the transaction that contains the
// effect of the entries. It returns ErrMoved if the position is no longer from, so that
// entries take effect once.
func (tx *Tx) MoveFollower(ctx context.Context, follower string, feedID, from, to int64) error {
	n, err := tx.run(ctx, "MoveFollower",
		arg("name", follower), arg("feed_id", feedID), arg("from_seq", from), arg("seq", to))
	if err != nil || n > 0 {
		return err
	}
	if from == 0 {
		_, err = tx.run(ctx, "InsertFollower", arg("name", follower), arg("feed_id", feedID), arg("seq", to))
		if err == nil || tx.classify(err) != driver.Unique {
			return err
		}
	}
	return fmt.Errorf("follower %s, feed %d, from entry %d: %w", follower, feedID, from, ErrMoved)
}

// ErrMoved means that a follower's position has changed: an earlier attempt or another
// process has moved it.
var ErrMoved = errors.New("the follower's position has moved")
