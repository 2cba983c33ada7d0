package indexing_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
)

// TestLongLog: a follower that is far behind comes up in stretches, and keeps
// those that it has done when a later one fails.
func TestLongLog(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	feed := newFeed(t, s, "a", 0)
	fence := lead(t, s, "leader")
	broken := errors.New("not now")
	var applied []span
	f := follower(t, s, "effects", func(_ context.Context, _ *db.Tx, feedID, after, upto int64) error {
		applied = append(applied, span{feedID, after, upto})
		if len(applied) == 2 {
			return broken
		}
		return nil
	}, feed)
	require.ErrorIs(t, f.CatchUp(t.Context(), fence, map[int64]int64{feed: 12_000}), broken)
	positions, err := s.FollowerPositions(t.Context(), "effects")
	require.NoError(t, err)
	require.Equal(t, map[int64]int64{feed: applied[0].upto}, positions)
	require.NoError(t, f.CatchUp(t.Context(), fence, map[int64]int64{feed: 12_000}))
	at := int64(0)
	for _, a := range append(applied[:1:1], applied[2:]...) {
		require.Equal(t, at, a.after, "each stretch begins where the last one ended")
		require.Less(t, a.after, a.upto)
		at = a.upto
	}
	require.EqualValues(t, 12_000, at)
	require.Equal(t, applied[1], applied[2], "the stretch that failed is the next")
}

// TestSameStretchTwice: of several who apply one stretch at the same time, one
// has an effect; the others see that it is done. So it is with a transaction
// that is repeated because the outcome of its commit was lost.
func TestSameStretchTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	feed := newFeed(t, s, "a", 0)
	fence := lead(t, s, "leader")
	f := follower(t, s, "effects", func(ctx context.Context, tx *db.Tx, _, after, upto int64) error {
		value, _, err := tx.Setting(ctx, "effects")
		if err != nil {
			return err
		}
		sum, _ := strconv.ParseInt(value, 10, 64)
		return tx.SetSetting(ctx, "effects", strconv.FormatInt(sum+upto-after, 10))
	}, feed)
	for head := int64(10); head <= 100; head += 10 {
		var all sync.WaitGroup
		errs := make([]error, 4)
		for n := range errs {
			all.Go(func() { errs[n] = f.CatchUp(t.Context(), fence, map[int64]int64{feed: head}) })
		}
		all.Wait()
		require.NoError(t, errors.Join(errs...))
		settings, err := s.Settings(t.Context())
		require.NoError(t, err)
		require.Equal(t, strconv.FormatInt(head, 10), settings["effects"])
	}
}

// TestChanged: who waits for a position to move is woken when one does, and not
// by a question that found nothing.
func TestChanged(t *testing.T) {
	t.Parallel()
	log := &memLog{heads: map[int64]int64{1: 0}}
	tail := indexing.NewTail(log, nil)
	defer tail.Close()
	require.NoError(t, tail.Sync(t.Context()))
	moved := tail.Changed()
	require.NoError(t, tail.Sync(t.Context()))
	select {
	case <-moved:
		require.Fail(t, "nothing has moved")
	default:
	}
	log.append(1)
	require.NoError(t, tail.Sync(t.Context()))
	<-moved
	require.EqualValues(t, 1, tail.Applied()[1])
}
