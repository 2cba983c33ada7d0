package indexing

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A Follower gives the entries of the feeds' logs their effect. It belongs to
// the leader of an office: its position in each log is kept in the database
// and moves in a transaction under the leader's fence.
//
// What an [Effect] does in that transaction happens exactly once. What Follow
// does before it, such as writing to storage or calling another server, happens
// at least once: an entry's feed and sequence number tell a repetition.
type Follower struct {
	Name   string // under which the positions are kept
	DB     *db.Store
	Office string // whose fence guards the writes

	// Follow prepares the effect of the entries after one position and up to
	// another, both of one feed, of which there may be 5000. It, or the effect,
	// returns [db.ErrCompacted] if some of them are gone.
	Follow func(ctx context.Context, feedID, after, upto int64) (Effect, error)

	// Rebuild prepares the effect that all that ever happened to a feed has
	// had, from what is there now. It is asked for when the follower, which is
	// at the given position, is new to a feed, when the log does not go back to
	// that position, and when the log ends before it. If the effect leaves the
	// position where it was, it was only a part of it, and Rebuild is asked again.
	Rebuild func(ctx context.Context, feedID, position int64) (Effect, error)

	fromNow bool // what happened before it was first seen does not concern it
}

// An Effect makes an effect in the database and returns the position in the log
// to which it goes, which may be earlier than was asked for. It may be run
// again, as [db.Store.Tx] says.
type Effect func(ctx context.Context, tx *db.Tx) (upto int64, err error)

// stretch bounds the entries of one transaction.
const stretch = 5000

// CatchUp applies what is new. It returns proget.ErrStale when the fence is
// superseded. A feed that fails does not keep the others waiting.
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

// enter records positions in the feeds that have none yet: in those that were there
// before the follower, their heads; in those that came later, their beginning. A
// follower is new if it is in no feed, and enters all at once, the system feed among
// them, which is always there: so it is new once, also before there are other feeds.
// A repetition after a commit whose outcome was lost is db.ErrMoved; the next call finds
// the positions.
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
		if at = upto; at > head { // a rebuild has seen what happened meanwhile
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

// apply returns where the follower is then. That may be elsewhere than this effect went:
// at what an attempt of it has reached whose commit's outcome was lost, before more was
// appended to the log, or where another process is.
func (f *Follower) apply(ctx context.Context, fence proget.Fence, feed, at int64, effect Effect) (upto int64, err error) {
	err = f.DB.LeaderTx(ctx, f.Office, fence, func(tx *db.Tx) (err error) {
		if upto, err = effect(ctx, tx); err != nil || upto == at {
			return err
		}
		return tx.MoveFollower(ctx, f.Name, feed, at, upto)
	})
	if !errors.Is(err, db.ErrMoved) && !errors.Is(err, proget.ErrConflict) { // which the effect may meet first
		return upto, err
	}
	positions, readErr := f.DB.FollowerPositions(ctx, f.Name)
	if readErr != nil {
		return at, readErr
	}
	upto, known := positions[feed]
	if !known || upto == at { // the feed was deleted, or the effect is in conflict with something else
		return at, err
	}
	return upto, nil
}
