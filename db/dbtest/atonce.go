package dbtest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// atOnce runs fn in eight goroutines that begin together, some times over.
func atOnce(t *testing.T, fn func(round int) error) {
	t.Helper()
	for round := range 10 {
		begin := make(chan struct{})
		var all errgroup.Group
		for range 8 {
			all.Go(func() error {
				<-begin
				return fn(round)
			})
		}
		close(begin)
		require.NoError(t, all.Wait(), "round %d", round)
	}
}

// testFenceAtOnce: the first writes of a term, of which several come at once in an
// office that nobody has held, are all of that term. Nor is the term over where the
// fence of the one before it comes late.
func testFenceAtOnce(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	none := func(*db.Tx) error { return nil }
	atOnce(t, func(round int) error {
		return s.LeaderTx(ctx, fmt.Sprint("office ", round), proget.Fence{Number: 1, Term: "a"}, none)
	})
	for round := range 10 {
		office := fmt.Sprint("changing office ", round)
		var both errgroup.Group
		both.Go(func() error {
			_ = s.LeaderTx(ctx, office, proget.Fence{Number: 1, Term: "a"}, none) // it may be over
			return nil
		})
		both.Go(func() error { return s.LeaderTx(ctx, office, proget.Fence{Number: 2, Term: "b"}, none) })
		require.NoError(t, both.Wait())
	}
}

// testJobOnceAtOnce: who queues a job that another is just queuing does not notice.
func testJobOnceAtOnce(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	atOnce(t, func(round int) error {
		return s.Tx(ctx, func(tx *db.Tx) error {
			return tx.EnqueueOnce(ctx, db.NewJob{Kind: "clean", RunKey: fmt.Sprint(round)})
		})
	})
	jobs, err := s.ListJobs(ctx, 0, 100)
	require.NoError(t, err)
	require.Len(t, jobs, 10)
}

// testPutAtOnce: of several who find that there is no such row yet, one inserts it and
// the others update it.
func testPutAtOnce(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	atOnce(t, func(round int) error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.SetSetting(ctx, fmt.Sprint(round), "value") })
	})
	atOnce(t, func(round int) error {
		return s.BeatNode(ctx, db.Node{Name: fmt.Sprint(round), Instance: "i", Details: "{}"})
	})
	atOnce(t, func(round int) error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.AddSchedule(ctx, db.Schedule{Name: fmt.Sprint(round)}) })
	})
	all, err := s.Settings(ctx)
	require.NoError(t, err)
	require.Len(t, all, 10)
	nodes, err := s.ListNodes(ctx)
	require.NoError(t, err)
	require.Len(t, nodes, 10)
	schedules, err := s.Schedules(ctx)
	require.NoError(t, err)
	require.Len(t, schedules, 10)
}
