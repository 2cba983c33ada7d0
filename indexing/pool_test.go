package indexing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

const (
	waitLong  = 20 * time.Second
	waitShort = 5 * time.Millisecond
)

var dark = slog.New(slog.DiscardHandler)

func newStore(t *testing.T) *db.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// worker does jobs of the kind "test".
type worker func(ctx context.Context, j *proget.Job, p *indexing.Progress) error

func (worker) Kind() string { return "test" }

func (w worker) Work(ctx context.Context, j *proget.Job, p *indexing.Progress) error {
	return w(ctx, j, p)
}

// runPool works jobs until stop is called, which waits for the workers, or the
// test ends.
func runPool(t *testing.T, jobs indexing.Jobs, name string, w worker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		_ = indexing.NewPool(jobs, name, &indexing.PoolOptions{Poll: waitShort, Claim: 300 * time.Millisecond, Logger: dark}, w).Run(ctx)
	})
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func enqueue(t *testing.T, s *db.Store, j db.NewJob) error {
	t.Helper()
	if j.Kind == "" {
		j.Kind = "test"
	}
	return s.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), j) })
}

// awaitState waits until the only job has a state.
func awaitState(t *testing.T, s *db.Store, state proget.JobState) (j proget.JobStatus) {
	t.Helper()
	require.Eventually(t, func() bool {
		all, err := s.ListJobs(t.Context(), 2)
		require.NoError(t, err)
		require.Len(t, all, 1)
		j = all[0]
		return j.State == state
	}, waitLong, waitShort, "the job does not become %s", state)
	return j
}

func TestEachJobRunsOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const jobs = 60
	var mu sync.Mutex
	runs := make(map[string]int)
	for n := range 3 {
		runPool(t, s, fmt.Sprint("node-", n), func(_ context.Context, j *proget.Job, _ *indexing.Progress) error {
			mu.Lock()
			defer mu.Unlock()
			runs[j.Argument]++
			return nil
		})
	}
	for n := range jobs {
		require.NoError(t, enqueue(t, s, db.NewJob{Argument: fmt.Sprint(n)}))
	}
	require.Eventually(t, func() bool {
		all, err := s.ListJobs(t.Context(), jobs)
		require.NoError(t, err)
		done := 0
		for _, j := range all {
			if j.State == proget.JobDone {
				done++
			}
		}
		return done == jobs
	}, waitLong, waitShort)
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, runs, jobs)
	for job, n := range runs {
		require.Equal(t, 1, n, "job %s", job)
	}
}

// cutOff is a database that a worker's heartbeats no longer reach.
type cutOff struct {
	indexing.Jobs
	off atomic.Bool
}

func (c *cutOff) BeatJob(ctx context.Context, j *proget.Job, ttl time.Duration, done, total int64, message string) error {
	if c.off.Load() {
		return errors.New("no route to host")
	}
	return c.Jobs.BeatJob(ctx, j, ttl, done, total, message)
}

// TestLostClaim: the job of a worker that fell silent is another's; the first
// one is told to stop, and what it says later does not count.
func TestLostClaim(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	first := &cutOff{Jobs: s}
	first.off.Store(true)
	lost := make(chan *proget.Job, 1)
	stop := runPool(t, first, "first", func(ctx context.Context, j *proget.Job, _ *indexing.Progress) error {
		<-ctx.Done()
		lost <- j
		return nil // as if it had not noticed
	})
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	claim := <-lost
	stop()
	require.EqualValues(t, 1, claim.Attempt)
	finish := make(chan struct{})
	runPool(t, s, "second", func(context.Context, *proget.Job, *indexing.Progress) error {
		<-finish
		return nil
	})
	require.Eventually(t, func() bool {
		require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { // the primary's duty
			_, err := tx.ReleaseExpiredJobs(t.Context())
			return err
		}))
		all, err := s.ListJobs(t.Context(), 1)
		require.NoError(t, err)
		return all[0].Worker == "second" && all[0].State == proget.JobRunning
	}, waitLong, waitShort)
	require.ErrorIs(t, s.FinishJob(t.Context(), claim, proget.JobFailed, 0, 0, "late"), proget.ErrStale)
	require.ErrorIs(t, s.RetryJob(t.Context(), claim, 0, false, "late"), proget.ErrStale)
	close(finish)
	j := awaitState(t, s, proget.JobDone)
	require.Equal(t, "second", j.Worker)
	require.Greater(t, j.Attempt, claim.Attempt)
}

func TestFailedJobs(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for name, c := range map[string]struct {
		max  int64
		work worker
		want string
	}{
		"one failure too many": {1, func(context.Context, *proget.Job, *indexing.Progress) error { return broken }, "disk on fire"},
		"given up":             {5, func(context.Context, *proget.Job, *indexing.Progress) error { return indexing.Cancel(broken) }, "disk on fire"},
		"given up, no reason":  {5, func(context.Context, *proget.Job, *indexing.Progress) error { return indexing.Cancel(nil) }, "given up"},
		"what it writes to":    {1, func(context.Context, *proget.Job, *indexing.Progress) error { return proget.ErrStale }, "superseded"},
		"a panic":              {1, func(context.Context, *proget.Job, *indexing.Progress) error { panic("index out of range") }, "index out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			require.NoError(t, enqueue(t, s, db.NewJob{MaxFailures: c.max}))
			runPool(t, s, "a", c.work)
			j := awaitState(t, s, proget.JobFailed)
			require.Contains(t, j.Message, c.want)
			require.EqualValues(t, 1, j.Attempt)
		})
	}
}

// TestTriedAgain: one failure is not the end of a job, and putting it off is no
// failure.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.NoError(t, enqueue(t, s, db.NewJob{MaxFailures: 2}))
	var runs atomic.Int64
	runPool(t, s, "a", func(context.Context, *proget.Job, *indexing.Progress) error {
		switch runs.Add(1) {
		case 1, 2, 3:
			return indexing.Snooze(time.Millisecond)
		case 4:
			return errors.New("a short trouble")
		}
		return nil
	})
	awaitState(t, s, proget.JobDone)
	require.EqualValues(t, 5, runs.Load())
}

// TestUnknownKind: a job of a newer version waits for a node that knows it.
func TestUnknownKind(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.NoError(t, enqueue(t, s, db.NewJob{Kind: "from the future", MaxFailures: 1}))
	runPool(t, s, "a", func(context.Context, *proget.Job, *indexing.Progress) error { return nil })
	require.Eventually(t, func() bool {
		all, err := s.ListJobs(t.Context(), 1)
		require.NoError(t, err)
		return all[0].State == proget.JobWaiting && all[0].Attempt == 1
	}, waitLong, waitShort)
}

// TestStoppedPool: a pool ends with its workers, and what they had begun is
// another's at once.
func TestStoppedPool(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.NoError(t, enqueue(t, s, db.NewJob{MaxFailures: 1}))
	began := make(chan struct{})
	var ended atomic.Bool
	stop := runPool(t, s, "first", func(ctx context.Context, _ *proget.Job, _ *indexing.Progress) error {
		close(began)
		<-ctx.Done()
		ended.Store(true)
		return ctx.Err()
	})
	<-began
	stop()
	require.True(t, ended.Load())
	awaitState(t, s, proget.JobWaiting)
	runPool(t, s, "second", func(context.Context, *proget.Job, *indexing.Progress) error { return nil })
	require.Equal(t, "second", awaitState(t, s, proget.JobDone).Worker)
}

func TestProgress(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	finish := make(chan struct{})
	runPool(t, s, "a", func(_ context.Context, _ *proget.Job, p *indexing.Progress) error {
		p.Set(3, 7, "the third of seven")
		<-finish
		p.Set(7, 7, "all")
		return nil
	})
	require.Eventually(t, func() bool {
		j := awaitState(t, s, proget.JobRunning)
		return j.Done == 3 && j.Total == 7 && j.Message == "the third of seven"
	}, waitLong, waitShort)
	close(finish)
	j := awaitState(t, s, proget.JobDone)
	require.EqualValues(t, 7, j.Done)
}

// TestRunKey: of jobs with one key, one is unfinished.
func TestRunKey(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	once := db.NewJob{RunKey: "sweep"}
	require.NoError(t, enqueue(t, s, once))
	require.ErrorIs(t, enqueue(t, s, once), proget.ErrConflict)
	runPool(t, s, "a", func(context.Context, *proget.Job, *indexing.Progress) error { return nil })
	awaitState(t, s, proget.JobDone)
	require.NoError(t, enqueue(t, s, once))
}

// hanging is a database that does not answer a worker's heartbeats.
type hanging struct{ indexing.Jobs }

func (hanging) BeatJob(ctx context.Context, _ *proget.Job, _ time.Duration, _, _ int64, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestHangingHeartbeat: a worker is told when its claim runs out, not when the
// question about it does.
func TestHangingHeartbeat(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	told := make(chan error, 1)
	runPool(t, hanging{s}, "a", func(ctx context.Context, _ *proget.Job, _ *indexing.Progress) error {
		<-ctx.Done()
		told <- context.Cause(ctx)
		return nil
	})
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	require.ErrorIs(t, <-told, proget.ErrStale)
}
