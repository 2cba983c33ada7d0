package indexing

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A Follower applies the effects of the entries of the feeds' logs. It belongs to the
// leader of an office: its position in each log is kept in the database and moves in a
// transaction under the leader's fence.
//
// What an [Effect] does in that transaction happens exactly once. What Follow does
// before it, such as writing to storage or calling another server, happens at least
// once: a repeated entry has the same feed and sequence number.
type Follower struct {
	Name   string // under which its positions are kept
	DB     *db.Store
	Office string // whose fence guards its writes

	// Follow prepares the effect of a feed's entries after one position, up to another;
	// there may be 5000. It, or the effect, returns [db.ErrCompacted] if some of them
	// are gone.
	Follow func(ctx context.Context, feedID, after, upto int64) (Effect, error)

	// Rebuild prepares the effect of everything that ever happened to a feed from its
	// present state. CatchUp calls it with the follower's position if the follower is
	// new to the feed, if the log does not go back to that position, and if the log
	// ends before it. If the effect leaves the position unchanged, it was only a part,
	// and CatchUp calls Rebuild again.
	Rebuild func(ctx context.Context, feedID, position int64) (Effect, error)

	fromNow bool // entries from before it was first seen do not concern it
}

// An Effect changes the database and returns the position in the log to which it has
// come, which may be earlier than requested. It may run again, as [db.Store.Tx]
// describes.
type Effect func(ctx context.Context, tx *db.Tx) (upto int64, err error)

// stretch is the maximum number of entries in one transaction.
const stretch = 5000

// CatchUp applies new entries up to the given heads. It returns proget.ErrStale if the
// fence is superseded. If a feed fails, CatchUp continues with the others and returns
// the error at the end.
func (f *Follower) CatchUp(ctx context.Context, fence proget.Fence, heads map[int64]int64) error {
	positions, err := f.DB.FollowerPositions(ctx, f.Name)
	if err == nil && f.fromNow {
		err = f.enter(ctx, fence, heads, positions)
	}
	if err != nil {
		return fmt.Errorf("follower %s: %w", f.Name, err)
	}
	var failed error
	for feed, head := range heads {
		at, known := positions[feed]
		err := f.catchUp(ctx, fence, feed, at, head, known)
		if errors.Is(err, proget.ErrStale) || ctx.Err() != nil {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// enter records positions for the feeds that have none yet: the heads of feeds that
// existed before the follower, and the beginnings of later ones. A follower is new if
// it has no position at all. It then enters all feeds at once, including the system
// feed, which always exists: so it is new only once, even if there are no other feeds
// yet. A retry after a commit whose outcome was lost returns db.ErrMoved; the next call
// finds the positions.
func (f *Follower) enter(ctx context.Context, fence proget.Fence, heads, positions map[int64]int64) error {
	entered := make(map[int64]int64)
	for feed, head := range heads {
		if _, known := positions[feed]; known {
			continue
		}
		if entered[feed] = 0; len(positions) == 0 {
			entered[feed] = head
		}
	}
	if len(entered) == 0 {
		return nil
	}
	err := f.DB.LeaderTx(ctx, f.Office, fence, func(tx *db.Tx) error {
		for feed, at := range entered {
			if err := tx.MoveFollower(ctx, f.Name, feed, 0, at); err != nil {
				return err
			}
		}
		return nil
	})
	maps.Copy(positions, entered)
	return err
}

func (f *Follower) catchUp(ctx context.Context, fence proget.Fence, feed, at, head int64, known bool) error {
	for at != head || !known && head > 0 {
		upto, err := f.step(ctx, fence, feed, at, head, known)
		if err != nil {
			return fmt.Errorf("follower %s, feed %d, after entry %d: %w", f.Name, feed, at, err)
		}
		known = known || upto != at
		if at = upto; at > head { // a rebuild included later changes
			return nil
		}
	}
	return nil
}

func (f *Follower) step(ctx context.Context, fence proget.Fence, feed, at, head int64, known bool) (upto int64, err error) {
	if known && at < head {
		effect, err := f.Follow(ctx, feed, at, min(at+stretch, head))
		if err == nil {
			upto, err = f.apply(ctx, fence, feed, at, effect)
		}
		if !errors.Is(err, db.ErrCompacted) {
			return upto, err
		}
	}
	effect, err := f.Rebuild(ctx, feed, at)
	if err != nil {
		return at, err
	}
	return f.apply(ctx, fence, feed, at, effect)
}

// apply returns the follower's position afterwards. It may differ from that of this
// effect: an earlier attempt whose commit's outcome was lost, before more was appended
// to the log, or another process may have moved the follower.
func (f *Follower) apply(ctx context.Context, fence proget.Fence, feed, at int64, effect Effect) (upto int64, err error) {
	err = f.DB.LeaderTx(ctx, f.Office, fence, func(tx *db.Tx) (err error) {
		if upto, err = effect(ctx, tx); err != nil || upto == at {
			return err
		}
		return tx.MoveFollower(ctx, f.Name, feed, at, upto)
	})
	if !errors.Is(err, db.ErrMoved) && !errors.Is(err, proget.ErrConflict) { // the effect may encounter it first
		return upto, err
	}
	positions, readErr := f.DB.FollowerPositions(ctx, f.Name)
	if readErr != nil {
		return at, readErr
	}
	upto, known := positions[feed]
	if !known || upto == at { // the feed was deleted, or the effect conflicts with something else
		return at, err
	}
	return upto, nil
}
