package indexing_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

// TestRefusedHeartbeat: a worker whose job is another's by now learns it from
// the database, and its success does not count.
func TestRefusedHeartbeat(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	began, lost, taken := make(chan *proget.Job, 1), make(chan error, 1), make(chan struct{})
	// One job at a time, which waits: else the pool would take over from itself.
	pool := newPool(t, s, "first", &indexing.PoolOptions{Lanes: map[string]int{"": 1}, Poll: waitShort, Claim: 2 * time.Second, Logger: dark},
		worker(func(ctx context.Context, j *proget.Job, _ *indexing.Progress) error {
			began <- j
			<-ctx.Done()
			lost <- context.Cause(ctx)
			select {
			case <-taken:
			case <-t.Context().Done(): // the test failed
			}
			return nil // as if it had not noticed
		}))
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = pool.Run(ctx) })
	t.Cleanup(running.Wait) // t.Context() has ended then
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	claim := <-began
	require.Eventually(t, func() (released bool) {
		require.NoError(t, s.BeatJob(t.Context(), claim, -time.Minute, 0, 0, "")) // it ran out long ago
		require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error {
			n, err := tx.ReleaseExpiredJobs(t.Context())
			released = n == 1
			return err
		}))
		return released // unless the worker's heartbeat came between the two
	}, waitLong, waitShort)
	second, err := s.ClaimJob(t.Context(), "second", "", time.Minute)
	require.NoError(t, err)
	require.Equal(t, claim.ID, second.ID)
	require.ErrorIs(t, <-lost, proget.ErrStale)
	close(taken)
	cancel()
	running.Wait()
	j := awaitState(t, s, proget.JobRunning)
	require.Equal(t, "second", j.Worker)
	require.NoError(t, s.FinishJob(t.Context(), second, proget.JobDone, 1, 1, ""))
}

// TestSecondFailureIsTheLast: a job is tried again until it has failed as often
// as it may; then its run key is free.
func TestSecondFailureIsTheLast(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	release(t, s)
	once := db.NewJob{RunKey: "sweep", MaxFailures: 2}
	require.NoError(t, enqueue(t, s, once))
	var failures []int64
	var mu sync.Mutex
	stop := runPool(t, s, "a", func(_ context.Context, j *proget.Job, _ *indexing.Progress) error {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, j.Failures)
		return errors.New("disk on fire")
	})
	awaitState(t, s, proget.JobFailed)
	stop()
	require.Equal(t, []int64{0, 1}, failures)
	require.NoError(t, enqueue(t, s, once))
}

// TestSilenceIsAFailure: a job that takes its workers down with it is given up
// like one that says why it fails.
func TestSilenceIsAFailure(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	once := db.NewJob{RunKey: "sweep", MaxFailures: 2}
	require.NoError(t, enqueue(t, s, once))
	for _, after := range []proget.JobState{proget.JobWaiting, proget.JobFailed} {
		j, err := s.ClaimJob(t.Context(), "a", "", -time.Minute)
		require.NoError(t, err)
		require.NotNil(t, j)
		require.NoError(t, s.BeatJob(t.Context(), j, -time.Minute, 0, 0, "")) // it begins
		require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := tx.ReleaseExpiredJobs(t.Context())
			return err
		}))
		awaitState(t, s, after)
	}
	require.NoError(t, enqueue(t, s, once))
}

// endless is a queue that never runs out of jobs.
type endless struct {
	claimed atomic.Int64
	beats   atomic.Int64
	beat    error // what each heartbeat gets but the first
}

func (e *endless) ClaimJob(context.Context, string, string, time.Duration) (*proget.Job, error) {
	return &proget.Job{ID: e.claimed.Add(1), Kind: "test", Attempt: 1, MaxFailures: 10}, nil
}

func (e *endless) BeatJob(context.Context, *proget.Job, time.Duration, int64, int64, string) error {
	if e.beats.Add(1) == 1 {
		return nil
	}
	return e.beat
}

func (e *endless) FinishJob(context.Context, *proget.Job, proget.JobState, int64, int64, string) error {
	return nil
}

func (e *endless) LogJob(context.Context, *proget.Job, int64, []string) error { return nil }

func (e *endless) RetryJob(context.Context, *proget.Job, time.Duration, bool, string) error {
	return nil
}

// TestJobsAtOnce: a pool works as many jobs side by side as it was told to.
func TestJobsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var working atomic.Int64
		w := worker(func(ctx context.Context, _ *proget.Job, _ *indexing.Progress) error {
			working.Add(1)
			defer working.Add(-1)
			<-ctx.Done()
			return ctx.Err()
		})
		ended := make(chan error, 1)
		pool := newPool(t, new(endless), "a", &indexing.PoolOptions{Lanes: map[string]int{"": 3}, Logger: dark}, w)
		go func() { ended <- pool.Run(ctx) }()
		synctest.Wait()
		require.EqualValues(t, 3, working.Load())
		cancel()
		require.NoError(t, <-ended)
		require.Zero(t, working.Load(), "the pool ends after its workers")
	})
}

// TestRefusalIsHeededAtOnce: a worker whose claim is another's by now does not
// go on until its time is up.
func TestRefusalIsHeededAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const claim = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var cause error
		var after time.Duration // by the clock of this test alone
		w := worker(func(ctx context.Context, _ *proget.Job, _ *indexing.Progress) error {
			<-ctx.Done()
			cause, after = context.Cause(ctx), time.Since(began)
			cancel()
			return nil
		})
		jobs := &endless{beat: proget.Errorf(proget.ErrStale, "another has it")}
		require.NoError(t, newPool(t, jobs, "a", &indexing.PoolOptions{Lanes: map[string]int{"": 1}, Claim: claim, Logger: dark}, w).Run(ctx))
		require.ErrorIs(t, cause, proget.ErrStale)
		require.Less(t, after, claim/2)
	})
}

// outage fails calls as long as there are some to fail.
type outage struct {
	indexing.Jobs
	claims, finishes atomic.Int64
}

func (o *outage) ClaimJob(ctx context.Context, worker, lane string, ttl time.Duration) (*proget.Job, error) {
	if o.claims.Add(-1) >= 0 {
		return nil, errors.New("no route to host")
	}
	return o.Jobs.ClaimJob(ctx, worker, lane, ttl)
}

func (o *outage) FinishJob(ctx context.Context, j *proget.Job, state proget.JobState, done, total int64, message string) error {
	if o.finishes.Add(-1) >= 0 {
		return errors.New("no route to host")
	}
	return o.Jobs.FinishJob(ctx, j, state, done, total, message)
}

// TestPoolOutlivesOutages: a pool goes on when the database is back, and a job
// whose end could not be recorded is done again.
func TestPoolOutlivesOutages(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	jobs := &outage{Jobs: s}
	jobs.claims.Store(3)
	jobs.finishes.Store(1)
	var runs atomic.Int64
	runPool(t, jobs, "a", func(context.Context, *proget.Job, *indexing.Progress) error {
		runs.Add(1)
		return nil
	})
	require.Eventually(t, func() bool {
		require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { // the primary's duty
			_, err := tx.ReleaseExpiredJobs(t.Context())
			return err
		}))
		all, err := s.ListJobs(t.Context(), 0, 1)
		require.NoError(t, err)
		return all[0].State == proget.JobDone
	}, waitLong, waitShort)
	require.GreaterOrEqual(t, runs.Load(), int64(2))
}

// away is a queue with one job, whose database does not answer for a while after the
// job's work is done.
type away struct {
	endless
	back              chan struct{} // closed when it answers again
	unlogged          error         // what writing log lines gets then
	finished, retried atomic.Int64
	logged            atomic.Int64 // lines
}

func (a *away) ClaimJob(ctx context.Context, worker, lane string, ttl time.Duration) (*proget.Job, error) {
	if a.claimed.Load() > 0 {
		return nil, nil
	}
	return a.endless.ClaimJob(ctx, worker, lane, ttl)
}

func (a *away) await(ctx context.Context) error {
	select {
	case <-a.back:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *away) FinishJob(ctx context.Context, _ *proget.Job, _ proget.JobState, _, _ int64, _ string) error {
	if err := a.await(ctx); err != nil {
		return err
	}
	a.finished.Add(1)
	return nil
}

func (a *away) RetryJob(ctx context.Context, _ *proget.Job, _ time.Duration, _ bool, _ string) error {
	if err := a.await(ctx); err != nil {
		return err
	}
	a.retried.Add(1)
	return nil
}

func (a *away) LogJob(ctx context.Context, _ *proget.Job, _ int64, lines []string) error {
	if err := a.await(ctx); err != nil || a.unlogged != nil {
		return cmp.Or(err, a.unlogged)
	}
	a.logged.Add(int64(len(lines)))
	return nil
}

// workOne has a pool work the only job of a queue until stop is called, which returns what
// the pool logged.
func workOne(t *testing.T, jobs indexing.Jobs, w worker) (stop func() string) {
	ctx, cancel := context.WithCancel(t.Context())
	log := new(testenv.LogBuffer)
	ended := make(chan error, 1)
	pool := newPool(t, jobs, "a", &indexing.PoolOptions{Lanes: map[string]int{"": 1}, Logger: slog.New(slog.NewTextHandler(log, nil))}, w)
	go func() { ended <- pool.Run(ctx) }()
	return func() string {
		cancel()
		require.NoError(t, <-ended)
		return log.String()
	}
}

// TestEndOutlastsFailover: the end of a job, and the rest of its log, wait for a database
// that fails over when the work is done.
func TestEndOutlastsFailover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jobs := &away{back: make(chan struct{})}
		stop := workOne(t, jobs, func(context.Context, *proget.Job, *indexing.Progress) error { return nil })
		time.AfterFunc(10*time.Second, func() { close(jobs.back) })
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, jobs.finished.Load())
		require.EqualValues(t, 2, jobs.logged.Load())
		require.NotContains(t, stop(), "level=WARN")
	})
}

// TestUnwrittenLog: lines that cannot be written do not count as an end that could not
// be.
func TestUnwrittenLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jobs := &away{back: make(chan struct{}), unlogged: errors.New("disk full")}
		close(jobs.back)
		stop := workOne(t, jobs, func(context.Context, *proget.Job, *indexing.Progress) error { return nil })
		synctest.Wait()
		require.EqualValues(t, 1, jobs.finished.Load())
		said := stop()
		require.Contains(t, said, "the last lines of a job's log could not be written")
		require.NotContains(t, said, "run again")
	})
}

// TestStopIsNotHeldUp: a node that stops gives a database that is away a few seconds, not
// a claim's length.
func TestStopIsNotHeldUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jobs := &away{back: make(chan struct{})}
		stop := workOne(t, jobs, func(ctx context.Context, _ *proget.Job, _ *indexing.Progress) error {
			<-ctx.Done()
			return ctx.Err()
		})
		synctest.Wait()
		began := time.Now() // by the clock of this test alone
		require.Contains(t, stop(), "it will be run again")
		require.Less(t, time.Since(began), 10*time.Second)
		require.Zero(t, jobs.retried.Load())
	})
}
