package dbtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// testDownloads: downloads are counted by day, of all versions of a package, and
// go with a version.
func testDownloads(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	for n := range 2 {
		_, err := publish(ctx, s, id, fmt.Sprint(n), version(n))
		require.NoError(t, err)
	}
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	a, b := p.Versions[0], p.Versions[1]
	now, err := s.Clock(ctx)
	require.NoError(t, err)
	var nodes errgroup.Group
	for range 4 { // which begin the day together
		node := open(t)
		nodes.Go(func() error { return node.AddDownloads(ctx, now, map[int64]int64{a.ID: 2, b.ID: 1}) })
	}
	require.NoError(t, nodes.Wait())
	require.NoError(t, s.AddDownloads(ctx, now.AddDate(0, 0, -2), map[int64]int64{a.ID: 5}))
	require.NoError(t, s.AddDownloads(ctx, now.AddDate(0, 0, -4), map[int64]int64{a.ID: 7}))
	daily := func() []int64 {
		counts, err := s.DailyDownloads(ctx, p.ID, 3)
		require.NoError(t, err)
		return counts
	}
	require.Equal(t, []int64{5, 0, 12}, daily())
	last, err := s.LastCounted(ctx)
	require.NoError(t, err)
	require.Equal(t, max(a.ID, b.ID), last)
	require.NoError(t, remove(ctx, s, id, "delete", a.Key))
	require.Equal(t, []int64{0, 0, 4}, daily())
}

// testRollUp: old days become months, and nothing is lost or counted twice, also if it
// is done by several at once.
func testRollUp(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "one", version(1))
	require.NoError(t, err)
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	v := p.Versions[0].ID
	today, err := s.Clock(ctx)
	require.NoError(t, err)
	month := time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, time.UTC)
	add := func(day time.Time, n int64) {
		require.NoError(t, s.AddDownloads(ctx, day, map[int64]int64{v: n}))
	}
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "k"}) }))
	j := claimJob(t, s, "")
	// Two months ago has a first day, the one before it has none, the last has both.
	for day, n := range map[time.Time]int64{
		month.AddDate(0, -3, 4): 1, month.AddDate(0, -3, 27): 2,
		month.AddDate(0, -2, 0): 10, month.AddDate(0, -2, 1): 20, month.AddDate(0, -2, 27): 40,
		month.AddDate(0, -1, 0): 100, month.AddDate(0, -1, 1): 200,
	} {
		add(day, n)
	}
	at := func(day time.Time) (n int64) {
		days := int(today.Sub(day).Hours()/24) + 1
		all, err := s.DailyDownloads(ctx, p.ID, days)
		require.NoError(t, err)
		return all[0]
	}
	rollUp := func(after, upto int64) int64 {
		n, err := s.RollUpDownloads(ctx, j, month.AddDate(0, -1, 20), after, upto)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, rollUp(v, v+1000))
	require.EqualValues(t, 4, rollUp(0, v))
	for range 2 {
		require.EqualValues(t, 3, at(month.AddDate(0, -3, 0)))
		require.EqualValues(t, 70, at(month.AddDate(0, -2, 0)))
		require.Zero(t, at(month.AddDate(0, -2, 1)))
		require.EqualValues(t, 100, at(month.AddDate(0, -1, 0)), "it is not old enough")
		require.EqualValues(t, 200, at(month.AddDate(0, -1, 1)))
		require.Zero(t, rollUp(0, v))
	}
	add(month.AddDate(0, -3, 9), 4) // counts that came very late
	require.EqualValues(t, 1, rollUp(0, v))
	require.EqualValues(t, 7, at(month.AddDate(0, -3, 0)))

	stores := []*db.Store{s, open(t), open(t), open(t)}
	for n := int64(1); n <= 20; n++ {
		add(month.AddDate(0, -3, 4), 1)
		add(month.AddDate(0, -3, 9), 2)
		var nodes errgroup.Group
		for _, node := range stores { // as a repetition meets the commit whose outcome was lost
			nodes.Go(func() error {
				_, err := node.RollUpDownloads(ctx, j, month, 0, v)
				return err
			})
		}
		require.NoError(t, nodes.Wait())
		require.EqualValues(t, 7+3*n, at(month.AddDate(0, -3, 0)))
	}
	add(month.AddDate(0, -3, 4), 1)
	require.NoError(t, s.RetryJob(ctx, j, 0, false, ""))
	_, err = s.RollUpDownloads(ctx, j, month, 0, v)
	require.ErrorIs(t, err, proget.ErrStale, "another has the job")
	require.EqualValues(t, 1, at(month.AddDate(0, -3, 4)))
}
