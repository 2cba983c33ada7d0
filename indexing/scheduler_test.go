package indexing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

func TestParseExpression(t *testing.T) {
	t.Parallel()
	for text, next := range map[string]string{
		"15 * * * *":                       "2026-01-01T00:15:00Z",
		" 45 1 * * 0 ":                     "2026-01-04T01:45:00Z",
		"@daily":                           "2026-01-02T00:00:00Z",
		"@every 6h":                        "2026-01-01T06:00:00Z",
		"CRON_TZ=Europe/Berlin 30 2 * * *": "2026-01-01T01:30:00Z",
	} {
		rule, err := indexing.ParseExpression(text)
		require.NoError(t, err, text)
		require.Equal(t, next, rule.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).UTC().Format(time.RFC3339), text)
	}
	for _, text := range []string{"", "nonsense", "* * * *", "61 * * * *", "@every 5s", "@every -1h", "0 0 30 2 *", "CRON_TZ=Mars/Base 0 0 * * *", "CRON_TZ=", "TZ=UTC"} {
		_, err := indexing.ParseExpression(text)
		require.ErrorIs(t, err, proget.ErrInvalid, "%q", text)
	}
}

func FuzzParseExpression(f *testing.F) {
	f.Add("15 * * * *")
	f.Add("CRON_TZ=Europe/Berlin @every 90m")
	f.Add("TZ=")
	f.Fuzz(func(t *testing.T, text string) {
		if rule, err := indexing.ParseExpression(text); err == nil {
			now := time.Now()
			require.True(t, rule.Next(now).After(now), text)
		} else {
			require.ErrorIs(t, err, proget.ErrInvalid)
		}
	})
}

// TestScheduler: what is due is queued once, at its time, by whoever leads.
func TestScheduler(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	scheduler := &indexing.Scheduler{DB: s, Office: office, Tasks: []indexing.Task{
		{Name: "clean", Title: "Clean", Expression: "@yearly", Job: db.NewJob{Kind: "clean", Argument: "all", Lane: "x"}},
		{Name: "other", Expression: "@yearly", Job: db.NewJob{Kind: "other"}}}}
	fence := lead(t, s, "first")
	tick := func() { t.Helper(); require.NoError(t, scheduler.Tick(ctx, fence)) }
	tx := func(fn func(*db.Tx) error) error { return s.Tx(ctx, fn) }
	queued := func() []proget.JobStatus {
		jobs, err := s.ListJobs(ctx, 0, 10)
		require.NoError(t, err)
		return jobs
	}
	plan, err := scheduler.Plan(ctx)
	require.NoError(t, err)
	require.Len(t, plan, 2)
	require.Nil(t, plan[0].Last)
	require.True(t, plan[0].NextRun.After(time.Now()), "a task is planned before the primary has heard of it")
	tick()
	tick()
	require.Empty(t, queued(), "nothing is due")

	due := func(enabled bool) {
		require.NoError(t, tx(func(tx *db.Tx) error {
			return tx.SetSchedule(ctx, db.Schedule{Name: "clean", Expression: "@hourly", Enabled: enabled, NextRun: time.Now().Add(-3 * time.Hour)})
		}))
	}
	due(false)
	tick()
	require.Empty(t, queued(), "it is disabled")
	due(true)
	tick()
	tick()
	require.Len(t, queued(), 1, "three times were missed, one run makes up for them")
	require.Equal(t, "the schedule", queued()[0].QueuedBy)
	require.ErrorIs(t, tx(func(tx *db.Tx) error { return scheduler.Run(ctx, tx, "clean", false, "ann") }), proget.ErrConflict)
	due(true)
	tick()
	require.Len(t, queued(), 1, "the former run is not over")

	j, err := s.ClaimJob(ctx, "w", "x", time.Minute)
	require.NoError(t, err)
	require.NoError(t, s.FinishJob(ctx, j, proget.JobDone, 1, 1, "done"))
	require.NoError(t, tx(func(tx *db.Tx) error { return scheduler.Run(ctx, tx, "clean", false, "ann") }))
	require.Equal(t, "ann", queued()[0].QueuedBy)
	require.ErrorIs(t, tx(func(tx *db.Tx) error { return scheduler.Run(ctx, tx, "unknown", false, "ann") }), proget.ErrNotFound)
	require.ErrorIs(t, tx(func(tx *db.Tx) error { return scheduler.Run(ctx, tx, "clean", true, "ann") }), proget.ErrInvalid, "it has no preview")
	require.Equal(t, []string{"Clean", "Clean: main", "unknown kind"},
		[]string{scheduler.JobTitle("clean", "all"), scheduler.JobTitle("clean", "main"), scheduler.JobTitle("unknown", "kind")})

	require.NoError(t, tx(func(tx *db.Tx) error { return scheduler.Change(ctx, tx, "other", " 0 4 * * 1 ", false) }))
	require.ErrorIs(t, tx(func(tx *db.Tx) error { return scheduler.Change(ctx, tx, "other", "often", true) }), proget.ErrInvalid)
	plan, err = scheduler.Plan(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"@hourly", "0 4 * * 1"}, []string{plan[0].Expression, plan[1].Expression})
	require.False(t, plan[1].Enabled)
	require.Equal(t, proget.JobWaiting, plan[0].Last.State)

	later := lead(t, s, "second")
	require.NoError(t, s.LeaderTx(ctx, office, later, func(*db.Tx) error { return nil }))
	due(true)
	require.ErrorIs(t, scheduler.Tick(ctx, fence), proget.ErrStale, "a former primary queues nothing")
}

// TestUnreadableSchedule: one that cannot be understood keeps no other from its time.
func TestUnreadableSchedule(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	scheduler := &indexing.Scheduler{DB: s, Office: office, Tasks: []indexing.Task{
		{Name: "clean", Expression: "@yearly", Job: db.NewJob{Kind: "clean"}}, {Name: "other", Expression: "@yearly", Job: db.NewJob{Kind: "other"}}}}
	fence := lead(t, s, "first")
	require.NoError(t, scheduler.Tick(t.Context(), fence))
	for name, expression := range map[string]string{"clean": "CRON_TZ=No/Where 0 0 * * *", "other": "@hourly"} {
		require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error {
			return tx.SetSchedule(t.Context(), db.Schedule{Name: name, Expression: expression, Enabled: true, NextRun: time.Now().Add(-time.Hour)})
		}))
	}
	require.ErrorContains(t, scheduler.Tick(t.Context(), fence), "schedule clean")
	jobs, err := s.ListJobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.Equal(t, "other", jobs[0].Kind)
}
