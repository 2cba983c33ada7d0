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

// A Change is what a transaction appends to a feed's log.
type Change struct {
	FeedID    int64
	Operation string // a fresh random id; tells an own earlier commit from another's
	Actor     string

	// Check may refuse the change once the feed's row is locked: it sees all that comes
	// before in the log, and nothing comes between. All publishers of the feed wait
	// meanwhile. Optional.
	Check func(*Tx) error

	// Set by the transaction's closure.
	Kind       proget.Change
	PackageKey string
	VersionKey string
	Packages   int64 // how the feed's totals change
	Versions   int64
	Bytes      int64

	seq int64 // of its entry
}

// asking bounds the question for the heads. All reads of a node wait for it, so
// it is quick to give a connection up and to notice that a database is back.
var asking = bounds{patience: 5 * time.Second, attempt: time.Second, wait: 50 * time.Millisecond, vital: true}

// Heads returns the newest log position of every feed, in a map that nobody may
// change.
func (s *Store) Heads(ctx context.Context) (map[int64]int64, error) {
	var heads map[int64]int64
	err := s.retry(ctx, asking, func(ctx context.Context, _ int) (err error) {
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

// NewestEntries returns the newest entry of every feed's log, its place and operation
// alone; place 0 of a log that has had none.
func (s *Store) NewestEntries(ctx context.Context) ([]proget.Entry, error) {
	return list(ctx, s.readVital, "NewestEntries", func(e *proget.Entry) []any { return []any{&e.FeedID, &e.Seq, &e.Operation} })
}

// Breaks counts what may have put another state of the database, an older one even, in
// the place of the one that was read last: connections that were made, and attempts that
// were late or found no server.
func (s *Store) Breaks() int64 {
	n := s.breaks.Load()
	if s.pools.Connected != nil {
		n += s.pools.Connected()
	}
	return n
}

// LogAfter returns up to limit entries of a feed's log, beginning after a
// position.
func (s *Store) LogAfter(ctx context.Context, feedID, after int64, limit int) ([]proget.Entry, error) {
	return list(ctx, s.readVital, "LogAfter", func(e *proget.Entry) []any {
		e.FeedID = feedID
		return []any{&e.Seq, &e.Change, &e.PackageKey, &e.VersionKey, &e.Actor, (*instant)(&e.At), &e.Operation}
	}, arg("feed_id", feedID), arg("after", after), arg("limit", limit))
}

// Change runs fn in a transaction whose last statements append to the feed's
// log: only then is the feed's row locked, and for a moment only. fn fills in
// what changed. It is run again like that of Tx; a repetition after a commit
// whose outcome was lost with its connection finds the operation in the log
// and reports success, never a false conflict. If nobody can tell what became
// of a commit, Change returns proget.ErrUnavailable.
func (s *Store) Change(ctx context.Context, ch *Change, fn func(*Tx) error) (seq int64, err error) {
	defer func() {
		s.changes.Add(1)
		if full := errors.Is(err, proget.ErrNoSpace); full || err == nil { // another failure does not tell
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

// Administer is Change for what is of the installation and not of one feed, as feeds
// themselves, accounts and settings are: it is entered in the system feed's log.
func (s *Store) Administer(ctx context.Context, actor string, fn func(*Tx) error) error {
	ch := &Change{FeedID: proget.SystemFeed, Operation: rand.Text(), Actor: actor, Kind: proget.SystemChanged}
	_, err := s.Change(ctx, ch, fn)
	return err
}

// Changes counts the calls of Change that have come to their end, successful or not.
func (s *Store) Changes() int64 { return s.changes.Load() }

// Full reports whether a call of Change failed for lack of space in the database, and
// none has succeeded since.
func (s *Store) Full() bool { return s.full.Load() }

// settle looks whether an operation that seems to have failed was committed by
// an earlier attempt. That may have become visible after the last attempt
// looked for it and before it met what had been done already: the conflict is
// with itself then.
func (s *Store) settle(ctx context.Context, operation string, unknown bool, failure error) (seq int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		seq, err = c.findOperation(ctx, operation)
		return err
	})
	switch {
	case err == nil:
		return seq, nil
	case !unknown, errors.Is(err, proget.ErrNotFound) && errors.Is(failure, proget.ErrConflict):
		return 0, failure // whoever this conflicts with has committed, and it was not us
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

// Unchanged is for a change's Check: it returns ErrChanged if the package has other
// entries in the log after a position.
func (tx *Tx) Unchanged(ctx context.Context, ch *Change, since int64) error {
	var others int64
	err := tx.one(ctx, "CountPackageEntries", []sql.NamedArg{arg("feed_id", ch.FeedID), arg("package_key", ch.PackageKey),
		arg("after", since), arg("before", ch.seq)}, &others)
	if err == nil && others > 0 {
		err = ErrChanged
	}
	return err
}

// ErrChanged means that a change was not made since its package has changed after
// it was looked at.
var ErrChanged = errors.New("the package has changed meanwhile")

// ErrCompacted means that the oldest entries which were asked for are not in
// the log any more: whoever follows it looks at what there is now instead.
var ErrCompacted = errors.New("the log does not go back so far")

// A LogRange is what a feed's log holds.
type LogRange struct {
	FeedID      int64
	First, Last int64 // sequence numbers
	Slowest     int64 // position of the follower that is furthest behind; Last if there is none
}

// LogRanges returns the logs that have entries.
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

// CompactLog removes entries of a feed's log from its beginning: up to a
// sequence number, and before the first that is younger than kept, so that no
// hole can come to be. It returns the number of the first that is left of
// those it looked at; upto + 1 if none is.
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

// FollowerPositions returns how far a follower has come in each feed's log.
// A feed it never saw is missing.
func (s *Store) FollowerPositions(ctx context.Context, follower string) (map[int64]int64, error) {
	return table(ctx, s.read, "FollowerPositions", columns[int64, int64], arg("name", follower))
}

// MoveFollower advances a follower's position in the transaction that holds
// its effect. It returns ErrMoved if the position is not from any more, so that the
// effect of a stretch of log happens once.
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

// ErrMoved means that a follower has another position by now: an earlier attempt's, or
// that of another process.
var ErrMoved = errors.New("the follower's position has moved")
