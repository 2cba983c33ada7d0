package indexing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A Worker does one kind of job.
type Worker interface {
	// Kind is the kind of job the worker does.
	Kind() string

	// Work does a job. It must be harmless to run again, since a claim can be
	// lost at any moment; ctx ends then. nil finishes the job, Cancel gives it
	// up, Snooze puts it off, and any other error has it tried again later.
	Work(ctx context.Context, j *proget.Job, p *Progress) error
}

// Cancel gives a job up for good; err says why.
func Cancel(err error) error {
	if err == nil {
		err = errors.New("given up")
	}
	return &outcome{err: err}
}

// Snooze puts a job off, which is no failure.
func Snooze(d time.Duration) error { return &outcome{snooze: d} }

type outcome struct {
	err    error
	snooze time.Duration
}

func (o *outcome) Error() string {
	if o.err != nil {
		return o.err.Error()
	}
	return "put off for " + o.snooze.String()
}

func (o *outcome) Unwrap() error { return o.err }

// Progress is how far a job has come. Its methods may be called at any rate;
// what they say is written with the next heartbeat.
type Progress struct {
	mu          sync.Mutex
	done, total int64
	message     string
}

// Set records units done, of total, or of an unknown number if total is 0.
func (p *Progress) Set(done, total int64, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total, p.message = done, total, message
}

// Get returns what was set last.
func (p *Progress) Get() (done, total int64, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done, p.total, p.message
}

// Jobs is where a Pool claims its jobs. *db.Store is one.
type Jobs interface {
	ClaimJob(ctx context.Context, worker string, ttl time.Duration) (*proget.Job, error)
	BeatJob(ctx context.Context, j *proget.Job, ttl time.Duration, done, total int64, message string) error
	FinishJob(ctx context.Context, j *proget.Job, state proget.JobState, done, total int64, message string) error
	RetryJob(ctx context.Context, j *proget.Job, delay time.Duration, failed bool, message string) error
}

var _ Jobs = (*db.Store)(nil)

// A Pool claims jobs and works them, a few at a time, beside the pools of the
// other indexing nodes.
type Pool struct {
	jobs    Jobs
	name    string
	workers map[string]Worker
	opts    PoolOptions
}

// PoolOptions configure a Pool. The zero value is ready to use.
type PoolOptions struct {
	AtOnce int           // jobs at the same time; default 2
	Poll   time.Duration // between looks at an empty queue; default 1 s
	Claim  time.Duration // how long a silent worker keeps a job; default 15 s
	Logger *slog.Logger  // default: slog.Default()
}

// NewPool returns a Pool for a node's name.
func NewPool(jobs Jobs, name string, opts *PoolOptions, workers ...Worker) *Pool {
	p := &Pool{jobs: jobs, name: name, workers: make(map[string]Worker)}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.AtOnce == 0 {
		p.opts.AtOnce = 2
	}
	if p.opts.Poll == 0 {
		p.opts.Poll = time.Second
	}
	if p.opts.Claim == 0 {
		p.opts.Claim = 15 * time.Second
	}
	if p.opts.Logger == nil {
		p.opts.Logger = slog.Default()
	}
	for _, w := range workers {
		p.workers[w.Kind()] = w
	}
	return p
}

// Run works jobs until ctx ends and the workers have returned. A job that is
// under way then goes back into the queue.
func (p *Pool) Run(ctx context.Context) error {
	var g errgroup.Group
	for range p.opts.AtOnce {
		g.Go(func() error { p.loop(ctx); return nil })
	}
	return g.Wait()
}

func (p *Pool) loop(ctx context.Context) {
	for ctx.Err() == nil {
		asked := time.Now()
		j, err := p.jobs.ClaimJob(ctx, p.name, p.opts.Claim)
		if err != nil && ctx.Err() == nil {
			p.opts.Logger.WarnContext(ctx, "no job could be claimed", "error", err)
		}
		if j != nil {
			p.work(ctx, j, asked.Add(p.opts.Claim))
			continue
		}
		select {
		case <-time.After(p.opts.Poll/2 + rand.N(p.opts.Poll)):
		case <-ctx.Done():
		}
	}
}

// work does a job whose claim can be trusted until a time by this node's clock.
func (p *Pool) work(ctx context.Context, j *proget.Job, trusted time.Time) {
	log := p.opts.Logger.With("job", j.ID, "kind", j.Kind, "attempt", j.Attempt)
	log.InfoContext(ctx, "job begins")
	progress := new(Progress)
	err, lost := p.claimed(ctx, j, trusted, progress)
	if lost {
		log.WarnContext(ctx, "the claim was lost; another worker has the job")
		return
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := p.finish(end, ctx.Err() != nil, j, progress, err); err != nil {
		log.WarnContext(ctx, "the job's end could not be recorded; it will be run again", "error", err)
		return
	}
	log.InfoContext(ctx, "job ends", "error", err)
}

// claimed runs the worker under a context that ends with the claim.
func (p *Pool) claimed(ctx context.Context, j *proget.Job, trusted time.Time, progress *Progress) (err error, lost bool) {
	w, ok := p.workers[j.Kind]
	if !ok {
		return Snooze(time.Minute), false // a node of another version knows it
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beating sync.WaitGroup
	beating.Go(func() { p.beat(ctx, cancel, j, trusted, progress) })
	err = safely(func() error { return w.Work(ctx, j, progress) })
	lost = errors.Is(context.Cause(ctx), proget.ErrStale)
	cancel(nil)
	beating.Wait()
	return err, lost
}

// safely turns a panic of a worker into an error: one job must not take the
// node down.
func safely(work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the worker panicked: %v", r)
		}
	}()
	return work()
}

// beat renews the claim until ctx ends. No question outlasts the time until
// which the claim can be trusted.
func (p *Pool) beat(ctx context.Context, lost context.CancelCauseFunc, j *proget.Job, trusted time.Time, progress *Progress) {
	tick := time.NewTicker(p.opts.Claim / 10)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		asked := time.Now()
		err := p.renew(ctx, j, trusted, progress)
		switch {
		case err == nil:
			trusted = asked.Add(p.opts.Claim)
		case errors.Is(err, proget.ErrStale), !time.Now().Before(trusted):
			lost(proget.Errorf(proget.ErrStale, "claim %d of job %d is lost", j.Attempt, j.ID))
			return
		}
	}
}

func (p *Pool) renew(ctx context.Context, j *proget.Job, trusted time.Time, progress *Progress) error {
	ctx, cancel := context.WithDeadline(ctx, trusted)
	defer cancel()
	done, total, message := progress.Get()
	return p.jobs.BeatJob(ctx, j, p.opts.Claim, done, total, message)
}

func (p *Pool) finish(ctx context.Context, stopping bool, j *proget.Job, progress *Progress, err error) error {
	done, total, message := progress.Get()
	var o *outcome
	switch {
	case err == nil:
		return p.jobs.FinishJob(ctx, j, proget.JobDone, done, total, message)
	case stopping:
		return p.jobs.RetryJob(ctx, j, 0, false, "The node stopped.")
	case errors.As(err, &o) && o.err == nil:
		return p.jobs.RetryJob(ctx, j, o.snooze, false, o.Error())
	case errors.As(err, &o), j.Failures+1 >= j.MaxFailures:
		return p.jobs.FinishJob(ctx, j, proget.JobFailed, done, total, err.Error())
	}
	return p.jobs.RetryJob(ctx, j, backoff(j.Failures+1), true, err.Error())
}

// backoff grows with the fourth power of the failures, as 1 s, 16 s, 81 s, up
// to an hour, and is jittered by a fifth.
func backoff(failures int64) time.Duration {
	n := min(failures, 10)
	d := min(time.Duration(n*n*n*n)*time.Second, time.Hour)
	return d*9/10 + rand.N(d/5)
}
