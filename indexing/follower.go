package indexing

import (
	"context"
	"errors"
	"fmt"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A Follower gives every entry of every feed's log an effect in the database,
// exactly once: the effect and the follower's new position are one transaction
// under the leader's fence.
type Follower struct {
	Name   string // under which the positions are kept
	DB     *db.Store
	Office string // whose fence guards the writes

	// Apply gives the entries after one position and up to another, both of
	// one feed, their effect.
	Apply func(ctx context.Context, tx *db.Tx, feedID, after, upto int64) error
}

// stretch bounds the entries of one transaction.
const stretch = 5000

// CatchUp applies what is new. It returns proget.ErrStale when the fence is
// superseded.
func (f *Follower) CatchUp(ctx context.Context, fence proget.Fence, heads map[int64]int64) error {
	positions, err := f.DB.FollowerPositions(ctx, f.Name)
	if err != nil {
		return err
	}
	for feed, head := range heads {
		for at := positions[feed]; at < head; {
			next := min(at+stretch, head)
			if err := f.advance(ctx, fence, feed, at, next); err != nil {
				return fmt.Errorf("follower %s, feed %d, entries %d to %d: %w", f.Name, feed, at+1, next, err)
			}
			at = next
		}
	}
	return nil
}

// advance is repeated after a commit whose outcome was lost: the position then
// shows that it happened.
func (f *Follower) advance(ctx context.Context, fence proget.Fence, feed, at, next int64) error {
	err := f.DB.LeaderTx(ctx, f.Office, fence, func(tx *db.Tx) error {
		if err := tx.MoveFollower(ctx, f.Name, feed, at, next); err != nil {
			return err
		}
		return f.Apply(ctx, tx, feed, at, next)
	})
	if !errors.Is(err, proget.ErrStale) && !errors.Is(err, proget.ErrConflict) {
		return err
	}
	positions, readErr := f.DB.FollowerPositions(ctx, f.Name)
	if readErr == nil && positions[feed] >= next {
		return nil
	}
	return err
}
