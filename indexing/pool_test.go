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

func newPool(t *testing.T, jobs indexing.Jobs, name string, opts *indexing.PoolOptions, workers ...indexing.Worker) *indexing.Pool {
	t.Helper()
	p, err := indexing.NewPool(jobs, name, opts, workers...)
	require.NoError(t, err)
	return p
}

// TestPoolRefuses: what a pool could not work with is said when it is made.
func TestPoolRefuses(t *testing.T) {
	t.Parallel()
	w := worker(func(context.Context, *proget.Job, *indexing.Progress) error { return nil })
	for want, c := range map[string]struct {
		opts    indexing.PoolOptions
		workers []indexing.Worker
	}{
		"negative Poll":            {indexing.PoolOptions{Poll: -1}, nil},
		"a Claim of 9ns":           {indexing.PoolOptions{Claim: 9}, nil},
		"a Claim of -1s":           {indexing.PoolOptions{Claim: -time.Second}, nil},
		`in the lane "heavy"`:      {indexing.PoolOptions{Lanes: map[string]int{"heavy": -1}}, nil},
		"workers is nil":           {indexing.PoolOptions{}, []indexing.Worker{nil}},
		`jobs of kind "test" alre`: {indexing.PoolOptions{}, []indexing.Worker{w, w}},
	} {
		_, err := indexing.NewPool(new(endless), "a", &c.opts, c.workers...)
		require.ErrorContains(t, err, want)
	}
}

// runPool works jobs until stop is called, which waits for the workers, or the
// test ends. Claims last long enough to be renewed on a loaded machine.
func runPool(t *testing.T, jobs indexing.Jobs, name string, w worker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	pool := newPool(t, jobs, name, &indexing.PoolOptions{Poll: waitShort, Claim: 2 * time.Second, Logger: dark}, w)
	running.Go(func() { _ = pool.Run(ctx) })
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
		all, err := s.ListJobs(t.Context(), 0, 2)
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
		all, err := s.ListJobs(t.Context(), 0, jobs)
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
	lost := make(chan *proget.Job, 1)
	stop := runPool(t, first, "first", func(ctx context.Context, j *proget.Job, _ *indexing.Progress) error {
		first.off.Store(true)
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
		all, err := s.ListJobs(t.Context(), 0, 1)
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
		"given up":             {5, func(context.Context, *proget.Job, *indexing.Progress) error { return indexing.GiveUp(broken) }, "disk on fire"},
		"given up, no reason":  {5, func(context.Context, *proget.Job, *indexing.Progress) error { return indexing.GiveUp(nil) }, "no reason was given"},
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
	release(t, s)
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
	release(t, s)
	require.NoError(t, enqueue(t, s, db.NewJob{Kind: "from the future", MaxFailures: 1}))
	runPool(t, s, "a", func(context.Context, *proget.Job, *indexing.Progress) error { return nil })
	require.Eventually(t, func() bool {
		all, err := s.ListJobs(t.Context(), 0, 1)
		require.NoError(t, err)
		return all[0].State == proget.JobDelayed && all[0].Attempt == 1
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

// hanging is a database that does not answer a worker's heartbeats after some.
type hanging struct {
	indexing.Jobs
	answers atomic.Int64
}

func (h *hanging) BeatJob(ctx context.Context, j *proget.Job, ttl time.Duration, done, total int64, message string) error {
	if h.answers.Add(-1) >= 0 {
		return h.Jobs.BeatJob(ctx, j, ttl, done, total, message)
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestHangingHeartbeat: a worker is told when its claim runs out, not when the
// question about it does.
func TestHangingHeartbeat(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	told := make(chan error, 1)
	jobs := &hanging{Jobs: s}
	jobs.answers.Store(1)
	runPool(t, jobs, "a", func(ctx context.Context, _ *proget.Job, _ *indexing.Progress) error {
		<-ctx.Done()
		told <- context.Cause(ctx)
		return nil
	})
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	require.ErrorIs(t, <-told, proget.ErrStale)
}

// TestNotBegun: a job whose beginning the database has not heard of is not begun, and
// left to another without a failure.
func TestNotBegun(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.NoError(t, enqueue(t, s, db.NewJob{MaxFailures: 1}))
	stop := runPool(t, &hanging{Jobs: s}, "a", func(context.Context, *proget.Job, *indexing.Progress) error {
		t.Error("it was begun")
		return nil
	})
	await := func(done func(j proget.JobStatus) bool) {
		require.Eventually(t, func() bool {
			require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { // the primary's duty
				_, err := tx.ReleaseExpiredJobs(t.Context())
				return err
			}))
			all, err := s.ListJobs(t.Context(), 0, 1)
			require.NoError(t, err)
			return done(all[0])
		}, waitLong, waitShort)
	}
	await(func(j proget.JobStatus) bool { return j.Attempt > 1 })
	stop()
	runPool(t, s, "b", func(context.Context, *proget.Job, *indexing.Progress) error { return nil })
	await(func(j proget.JobStatus) bool { return j.State == proget.JobDone })
	j := awaitState(t, s, proget.JobDone)
	require.Zero(t, j.Failures)
	require.Equal(t, "b", j.Worker)
}

// release does the primary's duties until the test ends.
func release(t *testing.T, s *db.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			_ = s.Tx(ctx, func(tx *db.Tx) error {
				_, err := tx.ReleaseDelayedJobs(ctx)
				return err
			})
			select {
			case <-time.After(waitShort):
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
}

// TestCancel: a job that runs stops when somebody asks it to, and is not tried
// again.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	began, cause := make(chan int64, 1), make(chan error, 1)
	runPool(t, s, "a", func(ctx context.Context, j *proget.Job, _ *indexing.Progress) error {
		began <- j.ID
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return ctx.Err()
	})
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	id := <-began
	require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { return tx.CancelJob(t.Context(), id) }))
	require.ErrorIs(t, <-cause, proget.ErrCanceled)
	j := awaitState(t, s, proget.JobCanceled)
	require.Equal(t, "Canceled while it ran.", j.Message)
}

// TestLanes: jobs of a lane that is full do not hold up those of another.
func TestLanes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var working, most atomic.Int64
	done := make(chan struct{})
	blocked := make(chan struct{})
	w := worker(func(ctx context.Context, j *proget.Job, _ *indexing.Progress) error {
		if j.Argument == "light" {
			close(done)
			return nil
		}
		most.Store(max(most.Load(), working.Add(1)))
		defer working.Add(-1)
		select {
		case <-blocked:
		case <-ctx.Done():
		}
		return nil
	})
	for range 5 {
		require.NoError(t, enqueue(t, s, db.NewJob{Lane: "heavy", Argument: "heavy", Priority: -1}))
	}
	require.NoError(t, enqueue(t, s, db.NewJob{Argument: "light"}))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	pool := newPool(t, s, "a", &indexing.PoolOptions{Lanes: map[string]int{"": 1, "heavy": 1}, Poll: waitShort, Logger: dark}, w)
	running.Go(func() { _ = pool.Run(ctx) })
	defer running.Wait()
	defer cancel()
	<-done
	close(blocked)
	require.Eventually(t, func() bool {
		jobs, err := s.ListJobs(t.Context(), 0, 10)
		require.NoError(t, err)
		for _, j := range jobs {
			if j.Live() {
				return false
			}
		}
		return true
	}, waitLong, waitShort)
	require.EqualValues(t, 1, most.Load())
}
