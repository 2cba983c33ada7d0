package dbtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

func testSchedule(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	tx := func(fn func(tx *db.Tx) error) { require.NoError(t, s.Tx(ctx, fn)) }
	sch := db.Schedule{Name: "clean", Expression: "@daily", Enabled: true, NextRun: time.UnixMicro(5).UTC()}
	tx(func(tx *db.Tx) error { return tx.AddSchedule(ctx, sch) })
	tx(func(tx *db.Tx) error {
		return tx.AddSchedule(ctx, db.Schedule{Name: "clean", Expression: "what an administrator chose stays"})
	})
	tx(func(tx *db.Tx) error {
		return tx.AddSchedule(ctx, db.Schedule{Name: "other", NextRun: time.UnixMicro(0)})
	})
	sch.Enabled, sch.NextRun = false, time.UnixMicro(7).UTC()
	tx(func(tx *db.Tx) error { return tx.SetSchedule(ctx, sch) })
	tx(func(tx *db.Tx) error { return tx.SetSchedule(ctx, db.Schedule{Name: "unknown"}) })
	all, err := s.Schedules(ctx)
	require.NoError(t, err)
	require.Len(t, all, 2)
	advance := func(sch db.Schedule) (moved bool) {
		tx(func(tx *db.Tx) (err error) {
			moved, err = tx.AdvanceSchedule(ctx, sch, time.UnixMicro(9))
			return err
		})
		return moved
	}
	found := all["clean"]
	require.False(t, advance(found), "it is not enabled")
	sch.Enabled = true
	tx(func(tx *db.Tx) error { return tx.SetSchedule(ctx, sch) })
	require.True(t, advance(sch))
	require.False(t, advance(sch), "it is due later")
	sch.Enabled = false
	require.True(t, sch.NextRun.Equal(found.NextRun))
	found.NextRun = sch.NextRun
	require.Equal(t, sch, found)
}

func testJobs(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	enqueue := func(j db.NewJob) error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, j) })
	}
	require.NoError(t, enqueue(db.NewJob{Kind: "later", Delay: time.Hour}))
	require.NoError(t, enqueue(db.NewJob{Kind: "second", Priority: 5, QueuedBy: "ann"}))
	require.NoError(t, enqueue(db.NewJob{Kind: "first", RunKey: "only one", MaxFailures: 2}))
	require.ErrorIs(t, enqueue(db.NewJob{Kind: "first", RunKey: "only one"}), proget.ErrConflict)
	require.NoError(t, enqueue(db.NewJob{Kind: "aside", Lane: "heavy", Priority: -1}))

	claim := func() *proget.Job { return claimJob(t, s, "") }
	j := claim()
	require.Equal(t, "first", j.Kind)
	require.NoError(t, s.BeatJob(ctx, j, -time.Minute, 1, 2, "half way")) // a claim that has run out
	require.EqualValues(t, 1, releaseExpired(t, s))
	again := claim()
	require.Equal(t, j.ID, again.ID)
	require.EqualValues(t, 2, again.Attempt)
	require.EqualValues(t, 1, again.Failures, "falling silent is one")
	require.ErrorIs(t, s.FinishJob(ctx, j, proget.JobDone, 2, 2, ""), proget.ErrStale, "the first claim is lost")
	require.NoError(t, s.RetryJob(ctx, again, 0, false, "snoozed"))
	again = claim()
	require.EqualValues(t, 3, again.Attempt)
	require.EqualValues(t, 1, again.Failures, "putting it off is none")
	require.EqualValues(t, 2, again.MaxFailures)
	require.NoError(t, s.FinishJob(ctx, again, proget.JobDone, 2, 2, "all well"))
	require.NoError(t, s.FinishJob(ctx, again, proget.JobDone, 2, 2, "all well"), "the first answer was lost")
	require.ErrorIs(t, s.FinishJob(ctx, again, proget.JobFailed, 2, 2, "not well"), proget.ErrStale)
	require.ErrorIs(t, s.FinishJob(ctx, j, proget.JobDone, 2, 2, ""), proget.ErrStale, "another claim")
	require.NoError(t, enqueue(db.NewJob{Kind: "first", RunKey: "only one", Priority: 9}), "the run key is free again")

	require.Equal(t, "second", claim().Kind)
	require.Equal(t, "aside", claimJob(t, s, "heavy").Kind)
	jobs, err := s.ListJobs(ctx, 0, 2)
	require.NoError(t, err)
	require.Len(t, jobs, 2)
	jobs, err = s.ListJobs(ctx, jobs[1].ID, 100)
	require.NoError(t, err)
	require.Len(t, jobs, 3)
	require.Equal(t, proget.JobDone, jobs[0].State)
	require.Equal(t, "all well", jobs[0].Message)
	require.Equal(t, "ann", jobs[1].QueuedBy)
	require.WithinDuration(t, jobs[0].Now, jobs[0].Finished, time.Minute)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.DeleteFinishedJobs(ctx, -time.Minute)
		require.EqualValues(t, 1, n)
		return err
	}))
}

func claimJob(t *testing.T, s *db.Store, lane string) *proget.Job {
	t.Helper()
	j, err := s.ClaimJob(t.Context(), "w", lane, time.Minute)
	require.NoError(t, err)
	return j
}

func releaseExpired(t *testing.T, s *db.Store) (n int64) {
	t.Helper()
	require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) (err error) {
		n, err = tx.ReleaseExpiredJobs(t.Context())
		return err
	}))
	return n
}

// testDelayedJobs: a job that is to wait cannot be claimed before it is released.
func testDelayedJobs(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	release := func() (n int64) {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) (err error) {
			n, err = tx.ReleaseDelayedJobs(ctx)
			return err
		}))
		return n
	}
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "later", Delay: time.Hour}) }))
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "soon", Delay: time.Microsecond}) }))
	require.Nil(t, claimJob(t, s, ""))
	require.Eventually(t, func() bool { return release() == 1 }, 10*time.Second, time.Millisecond, "clocks tick in milliseconds")
	j := claimJob(t, s, "")
	require.Equal(t, "soon", j.Kind)
	require.NoError(t, s.RetryJob(ctx, j, time.Hour, true, "again later"))
	require.Zero(t, release())
	require.Nil(t, claimJob(t, s, ""))
}

// testCancelJob: a job that waits is given up at once, the worker of one that
// runs learns it, and if it says nothing any more, its job is not taken up
// again.
func testCancelJob(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	cancel := func(id int64) error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.CancelJob(ctx, id) })
	}
	state := func(id int64) proget.JobStatus {
		j, err := s.FindJob(ctx, id)
		require.NoError(t, err)
		return j
	}
	begin := func() *proget.Job {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "k", RunKey: "one"}) }))
		j := claimJob(t, s, "")
		require.NoError(t, cancel(j.ID))
		require.True(t, state(j.ID).Canceling)
		return j
	}
	require.ErrorIs(t, cancel(12345), proget.ErrNotFound)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		require.ErrorIs(t, tx.CancelJob(ctx, 12345), proget.ErrNotFound, "in the transaction, too")
		return nil
	}))
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		return tx.Enqueue(ctx, db.NewJob{Kind: "k", RunKey: "one", Delay: time.Hour})
	}))
	waiting, err := s.LastJob(ctx, "k", "")
	require.NoError(t, err)
	require.Equal(t, proget.JobDelayed, waiting.State)
	require.NoError(t, cancel(waiting.ID))
	require.ErrorIs(t, cancel(waiting.ID), proget.ErrConflict)
	_, err = s.LastJob(ctx, "k", "another argument")
	require.ErrorIs(t, err, proget.ErrNotFound)

	told := begin()
	require.ErrorIs(t, s.BeatJob(ctx, told, time.Minute, 0, 0, ""), proget.ErrCanceled)
	require.NoError(t, s.FinishJob(ctx, told, proget.JobCanceled, 0, 0, "given up"))
	require.ErrorIs(t, s.BeatJob(ctx, told, time.Minute, 0, 0, ""), proget.ErrStale)

	failed := begin()
	require.NoError(t, s.RetryJob(ctx, failed, time.Hour, true, "failed before it was told"))
	require.Equal(t, proget.JobCanceled, state(failed.ID).State)

	j := begin()
	require.NoError(t, s.FinishJob(ctx, j, proget.JobDone, 0, 0, "it was too late"))
	require.Equal(t, proget.JobDone, state(j.ID).State)

	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "k", RunKey: "one"}) }))
	silent, err := s.ClaimJob(ctx, "w", "", -time.Minute)
	require.NoError(t, err)
	require.NoError(t, cancel(silent.ID))
	require.EqualValues(t, 1, releaseExpired(t, s))
	require.Equal(t, proget.JobCanceled, state(silent.ID).State)
	begin() // the run key is free
}

// testUnbegunJob: a claim that nobody has, as its answer was lost, is no failure of the
// job, however often that happens; silence after the first heartbeat is one.
func testUnbegunJob(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		return tx.Enqueue(ctx, db.NewJob{Kind: "k", RunKey: "one", MaxFailures: 2})
	}))
	claim := func() *proget.Job {
		j, err := s.ClaimJob(ctx, "w", "", -time.Minute)
		require.NoError(t, err)
		require.NotNil(t, j)
		return j
	}
	for n := range int64(5) {
		j := claim()
		require.Equal(t, n+1, j.Attempt)
		require.Zero(t, j.Failures)
		require.EqualValues(t, 1, releaseExpired(t, s))
	}
	for _, want := range []proget.JobState{proget.JobWaiting, proget.JobFailed} {
		j := claim()
		require.NoError(t, s.BeatJob(ctx, j, -time.Minute, 0, 0, ""))
		require.EqualValues(t, 1, releaseExpired(t, s))
		now, err := s.FindJob(ctx, j.ID)
		require.NoError(t, err)
		require.Equal(t, want, now.State)
		require.False(t, now.Started.IsZero())
		if want == proget.JobWaiting {
			require.EqualValues(t, 1, claim().Failures)
			require.EqualValues(t, 1, releaseExpired(t, s), "begun before, and not by this claim")
		}
	}
}

// testJobLog: lines are there once, in order, and go with their job.
func testJobLog(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "k"}) }))
	j := claimJob(t, s, "")
	require.NoError(t, s.LogJob(ctx, j, 1, []string{"begins", "goes on"}))
	require.NoError(t, s.LogJob(ctx, j, 2, []string{"ends <b>"}))
	require.NoError(t, s.LogJob(ctx, j, 2, []string{"written twice"}))
	log, err := s.JobLog(ctx, j.ID)
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, []string{"begins", "goes on"}, log[0].Lines)
	require.Equal(t, []string{"ends <b>"}, log[1].Lines)
	require.EqualValues(t, 1, log[0].Attempt)
	require.WithinDuration(t, time.Now(), log[0].Logged, time.Hour)
	require.NoError(t, s.FinishJob(ctx, j, proget.JobDone, 0, 0, ""))
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.DeleteFinishedJobs(ctx, -time.Minute)
		return err
	}))
	log, err = s.JobLog(ctx, j.ID)
	require.NoError(t, err)
	require.Empty(t, log)
}

// testClaimOnce: many claimers get every job exactly once.
func testClaimOnce(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	const jobs = 40
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		for range jobs {
			if err := tx.Enqueue(ctx, db.NewJob{Kind: "k"}); err != nil {
				return err
			}
		}
		return nil
	}))
	var mu sync.Mutex
	claimed := make(map[int64]int)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for misses := 0; misses < 3; { // a claimer may pass over a row that another is just taking
				j, err := s.ClaimJob(ctx, fmt.Sprint("w", w), "", time.Minute)
				require.NoError(t, err)
				if j == nil {
					misses++
					continue
				}
				mu.Lock()
				claimed[j.ID]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Len(t, claimed, jobs)
	for id, n := range claimed {
		require.Equal(t, 1, n, "job %d", id)
	}
}

// testJobOnce: what has a run key is queued once.
func testJobOnce(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	queued := func(key string) int {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
			return tx.EnqueueOnce(ctx, db.NewJob{Kind: "clean", RunKey: key, Lane: "x", Priority: 3})
		}))
		jobs, err := s.ListJobs(ctx, 0, 100)
		require.NoError(t, err)
		return len(jobs)
	}
	require.Equal(t, 1, queued("a"))
	require.Equal(t, 1, queued("a"))
	require.Equal(t, 2, queued("b"))
	j := claimJob(t, s, "x")
	require.NoError(t, s.FinishJob(ctx, j, proget.JobDone, 0, 0, ""))
	require.Equal(t, 3, queued("a"))
}
