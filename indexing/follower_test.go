package indexing_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

const office = "test"

// lead takes the office.
func lead(t *testing.T, s *db.Store, holder string) proget.Fence {
	t.Helper()
	fence, ok, err := s.AcquireLease(t.Context(), db.LeaseRequest{Office: office, Holder: holder, Term: rand.Text(), TTL: time.Millisecond})
	require.NoError(t, err)
	require.True(t, ok)
	return fence
}

// newFeed makes a feed with so many entries in its log.
func newFeed(t *testing.T, s *db.Store, name string, entries int) int64 {
	t.Helper()
	f := &proget.Feed{Name: name, Type: "test", Active: true}
	change(t, s, proget.SystemFeed, func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), f) })
	for range entries {
		change(t, s, f.ID, func(*db.Tx) error { return nil })
	}
	return f.ID
}

func change(t *testing.T, s *db.Store, feed int64, fn func(*db.Tx) error) {
	t.Helper()
	_, err := s.Change(t.Context(), &db.Change{FeedID: feed, Operation: rand.Text(), Kind: proget.VersionPublished}, fn)
	require.NoError(t, err)
}

// follower gives stretches of logs to apply, from the beginning of each feed.
func follower(t *testing.T, s *db.Store, name string, apply func(ctx context.Context, tx *db.Tx, feedID, after, upto int64) error, feeds ...int64) *indexing.Follower {
	t.Helper()
	for _, feed := range feeds {
		require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { return tx.MoveFollower(t.Context(), name, feed, 0, 0) }))
	}
	return &indexing.Follower{Name: name, DB: s, Office: office,
		Follow: func(_ context.Context, feedID, after, upto int64) (indexing.Effect, error) {
			return func(ctx context.Context, tx *db.Tx) (int64, error) { return upto, apply(ctx, tx, feedID, after, upto) }, nil
		},
		Rebuild: func(context.Context, int64, int64) (indexing.Effect, error) {
			return nil, errors.New("there is no need for this")
		},
	}
}

// span is what one call of Apply was given.
type span struct{ feed, after, upto int64 }

func heads(t *testing.T, s *db.Store, feeds ...int64) map[int64]int64 {
	t.Helper()
	all, err := s.Heads(t.Context())
	require.NoError(t, err)
	wanted := make(map[int64]int64)
	for _, f := range feeds {
		wanted[f] = all[f]
	}
	return wanted
}

// TestFollower: each entry has its effect once, in order, also when the follower
// is interrupted, and under another leader.
func TestFollower(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	feed := newFeed(t, s, "a", 3)
	fence := lead(t, s, "first")
	var applied []span
	var fail error
	f := follower(t, s, "effects", func(ctx context.Context, tx *db.Tx, feedID, after, upto int64) error {
		if fail != nil {
			return fail
		}
		applied = append(applied, span{feedID, after, upto})
		return tx.SetSetting(ctx, "effect", strings.Repeat("x", int(upto))) // of the same transaction
	}, feed)
	require.NoError(t, f.CatchUp(t.Context(), fence, heads(t, s, feed)))
	require.Equal(t, []span{{feed, 0, 3}}, applied)
	require.NoError(t, f.CatchUp(t.Context(), fence, heads(t, s, feed)))
	require.Len(t, applied, 1, "nothing is new")

	change(t, s, feed, func(*db.Tx) error { return nil })
	fail = errors.New("not now")
	require.ErrorIs(t, f.CatchUp(t.Context(), fence, heads(t, s, feed)), fail)
	fail = nil
	second := lead(t, s, "second")
	require.NoError(t, f.CatchUp(t.Context(), second, heads(t, s, feed)))
	require.Equal(t, []span{{feed, 0, 3}, {feed, 3, 4}}, applied, "what failed is done by whoever leads next")

	change(t, s, feed, func(*db.Tx) error { return nil })
	require.ErrorIs(t, f.CatchUp(t.Context(), fence, heads(t, s, feed)), proget.ErrStale, "the former leader does nothing more")
	settings, err := s.Settings(t.Context())
	require.NoError(t, err)
	require.Equal(t, "xxxx", settings["effect"])
}

// TestFollowersAreIndependent: each has its own position in each feed.
func TestFollowersAreIndependent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a, b := newFeed(t, s, "a", 2), newFeed(t, s, "b", 1)
	fence := lead(t, s, "leader")
	seen := make(map[string][]span)
	named := func(name string) *indexing.Follower {
		return follower(t, s, name, func(_ context.Context, _ *db.Tx, feedID, after, upto int64) error {
			seen[name] = append(seen[name], span{feedID, after, upto})
			return nil
		}, a, b)
	}
	one, two := named("one"), named("two")
	require.NoError(t, one.CatchUp(t.Context(), fence, heads(t, s, a)))
	require.NoError(t, two.CatchUp(t.Context(), fence, heads(t, s, a, b)))
	require.NoError(t, one.CatchUp(t.Context(), fence, heads(t, s, a, b)))
	require.ElementsMatch(t, []span{{a, 0, 2}, {b, 0, 1}}, seen["one"])
	require.ElementsMatch(t, []span{{a, 0, 2}, {b, 0, 1}}, seen["two"])
}
