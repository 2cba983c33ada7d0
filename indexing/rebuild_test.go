package indexing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

// compact removes a feed's entries up to a number.
func compact(t *testing.T, s *db.Store, feed, upto int64) {
	t.Helper()
	next, err := s.CompactLog(t.Context(), feed, 1, upto, -time.Hour)
	require.NoError(t, err)
	require.Equal(t, upto+1, next)
}

// notebook is a follower that notes what it was asked for.
type notebook struct {
	db    *db.Store
	parts int // of each rebuild
	calls []string
}

func (r *notebook) follower() *indexing.Follower {
	return &indexing.Follower{Name: "notebook", DB: r.db, Office: office, Follow: r.follow, Rebuild: r.rebuild}
}

func (r *notebook) follow(ctx context.Context, feedID, after, upto int64) (indexing.Effect, error) {
	return func(ctx context.Context, tx *db.Tx) (int64, error) {
		err := tx.AddFeedStats(ctx, feedID, after, upto)
		if err == nil {
			r.calls = append(r.calls, fmt.Sprintf("%d to %d", after, upto))
		}
		return upto, err
	}, nil
}

func (r *notebook) rebuild(_ context.Context, feedID, position int64) (indexing.Effect, error) {
	return func(ctx context.Context, tx *db.Tx) (int64, error) {
		r.calls = append(r.calls, fmt.Sprint("rebuild at ", position))
		if r.parts > 0 {
			r.parts--
			return position, nil
		}
		return tx.RecountFeed(ctx, feedID)
	}, nil
}

// TestRebuild: a follower begins with what there is, also when the log does not
// tell what it has missed, or tells less than it saw.
func TestRebuild(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	feed := newFeed(t, s, "a", 10)
	newFeed(t, s, "empty", 0)
	fence := lead(t, s, "leader")
	r := &notebook{db: s, parts: 2}
	catchUp := func(head int64) {
		t.Helper()
		r.calls = nil
		require.NoError(t, r.follower().CatchUp(t.Context(), fence, map[int64]int64{feed: head, feed + 1: 0}))
	}
	catchUp(10)
	require.Equal(t, []string{"rebuild at 0", "rebuild at 0", "rebuild at 0"}, r.calls, "in parts; the empty feed needs none")
	catchUp(10)
	require.Empty(t, r.calls)
	change(t, s, feed, func(*db.Tx) error { return nil })
	catchUp(11)
	require.Equal(t, []string{"10 to 11"}, r.calls)

	for range 5 {
		change(t, s, feed, func(*db.Tx) error { return nil })
	}
	compact(t, s, feed, 11)
	catchUp(16)
	require.Equal(t, []string{"11 to 16"}, r.calls, "what it needs is there")
	for range 5 {
		change(t, s, feed, func(*db.Tx) error { return nil })
	}
	compact(t, s, feed, 17)
	catchUp(21)
	require.Equal(t, []string{"rebuild at 16"}, r.calls)

	require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { return tx.MoveFollower(t.Context(), "notebook", feed, 21, 30) }))
	catchUp(21)
	require.Equal(t, []string{"rebuild at 30"}, r.calls, "the database is an older copy")
}

// TestRebuildTwice: a rebuild whose position moves before its own transaction, as that of
// one whose commit's answer was lost, goes on from there: what was appended meanwhile does
// not end the term.
func TestRebuildTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	feed := newFeed(t, s, "a", 3)
	fence := lead(t, s, "leader")
	r := &notebook{db: s}
	f := r.follower()
	require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { return tx.MoveFollower(t.Context(), "notebook", feed, 0, 30) }))
	f.Rebuild = func(ctx context.Context, feedID, position int64) (indexing.Effect, error) {
		require.NoError(t, r.follower().CatchUp(ctx, fence, map[int64]int64{feed: 3}))
		change(t, s, feed, func(*db.Tx) error { return nil })
		return r.rebuild(ctx, feedID, position)
	}
	require.NoError(t, f.CatchUp(t.Context(), fence, map[int64]int64{feed: 3}))
	require.NoError(t, f.CatchUp(t.Context(), fence, map[int64]int64{feed: 4}))
	require.Equal(t, []string{"rebuild at 30", "rebuild at 30", "3 to 4"}, r.calls, "of which the second had no effect")
	positions, err := s.FollowerPositions(t.Context(), "notebook")
	require.NoError(t, err)
	require.EqualValues(t, 4, positions[feed])
}

// TestFollowDeleted: a feed that is deleted while it is followed fails by itself, and
// does not end the term.
func TestFollowDeleted(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	feed := newFeed(t, s, "a", 3)
	fence := lead(t, s, "leader")
	f := follower(t, s, "effects", func(context.Context, *db.Tx, int64, int64, int64) error { return nil }, feed)
	require.NoError(t, f.CatchUp(t.Context(), fence, map[int64]int64{feed: 2}))
	follow := f.Follow
	f.Follow = func(ctx context.Context, feedID, after, upto int64) (indexing.Effect, error) {
		change(t, s, proget.SystemFeed, func(tx *db.Tx) error { return tx.DeleteFeed(ctx, "a") })
		return follow(ctx, feedID, after, upto)
	}
	err := f.CatchUp(t.Context(), fence, map[int64]int64{feed: 3})
	require.ErrorIs(t, err, db.ErrMoved)
	require.NotErrorIs(t, err, proget.ErrStale)
}

// TestCourier: every entry is delivered, in order, and again under the same
// number if delivery failed, or if what came of it was not recorded.
func TestCourier(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	feed := newFeed(t, s, "a", 3)
	fence := lead(t, s, "first")
	var got []int64
	var fail error
	courier := indexing.NewCourier("hook", s, office, func(_ context.Context, entries []proget.Entry) error {
		for _, e := range entries {
			require.Equal(t, feed, e.FeedID)
			got = append(got, e.Seq)
		}
		return fail
	})
	catchUp := func(fence proget.Fence) error {
		got = nil
		return courier.CatchUp(t.Context(), fence, heads(t, s, feed))
	}
	require.NoError(t, catchUp(fence))
	require.Empty(t, got, "it begins with what happens from now on")
	for range 250 {
		change(t, s, feed, func(*db.Tx) error { return nil })
	}
	require.NoError(t, catchUp(fence))
	require.Len(t, got, 250)
	require.IsIncreasing(t, got)

	change(t, s, feed, func(*db.Tx) error { return nil })
	fail = errors.New("nobody there")
	require.ErrorIs(t, catchUp(fence), fail)
	fail = nil
	second := lead(t, s, "second")
	require.NoError(t, s.LeaderTx(t.Context(), office, second, func(*db.Tx) error { return nil }))
	require.ErrorIs(t, catchUp(fence), proget.ErrStale)
	require.Equal(t, []int64{254}, got, "a former leader may deliver what it cannot record")
	require.NoError(t, catchUp(second))
	require.Equal(t, []int64{254}, got, "it comes again under its number")

	for range 4 {
		change(t, s, feed, func(*db.Tx) error { return nil })
	}
	compact(t, s, feed, 256)
	require.NoError(t, catchUp(second))
	require.Equal(t, []int64{257, 258}, got, "what the log has lost is missing")
	require.NoError(t, catchUp(second))
	require.Empty(t, got)
}

// TestCourierOfNewFeeds: of a feed that is made after the courier was first seen,
// everything is delivered, whatever feeds there were then.
func TestCourierOfNewFeeds(t *testing.T) {
	t.Parallel()
	for name, old := range map[string][]int{"none": nil, "an empty one": {0}, "several": {3, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			fence := lead(t, s, "first")
			var got []string
			courier := indexing.NewCourier("hook", s, office, func(_ context.Context, entries []proget.Entry) error {
				for _, e := range entries {
					got = append(got, fmt.Sprintf("%d/%d", e.FeedID, e.Seq))
				}
				return nil
			})
			catchUp := func(feeds ...int64) []string {
				t.Helper()
				got = nil
				known := heads(t, s, feeds...)
				require.NoError(t, courier.CatchUp(t.Context(), fence, known))
				positions, err := s.FollowerPositions(t.Context(), "hook")
				require.NoError(t, err)
				require.Subset(t, positions, known, "the log is kept for it")
				return got
			}
			feeds := []int64{proget.SystemFeed}
			for n, entries := range old {
				feeds = append(feeds, newFeed(t, s, fmt.Sprint("old ", n), entries))
			}
			require.Empty(t, catchUp(feeds...), "what was before does not concern it")

			quiet, busy := newFeed(t, s, "quiet", 0), newFeed(t, s, "busy", 2)
			require.Equal(t, []string{fmt.Sprint(busy, "/1"), fmt.Sprint(busy, "/2")}, catchUp(quiet, busy))
			require.Empty(t, catchUp(quiet, busy))
			change(t, s, quiet, func(*db.Tx) error { return nil })
			require.Equal(t, []string{fmt.Sprint(quiet, "/1")}, catchUp(quiet))
			for n, entries := range old {
				change(t, s, feeds[n+1], func(*db.Tx) error { return nil })
				require.Equal(t, []string{fmt.Sprintf("%d/%d", feeds[n+1], entries+1)}, catchUp(feeds[n+1]))
			}

			late := newFeed(t, s, "late", 3)
			compact(t, s, late, 1)
			require.Equal(t, []string{fmt.Sprint(late, "/2"), fmt.Sprint(late, "/3")}, catchUp(late), "what the log has lost is missing")
		})
	}
}
