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
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
)

// A Worker does one kind of job. Jobs in a lane that no node's pool works wait, and
// nobody is told; see [PoolOptions]. A job whose kind only other nodes know is put off
// until one of those claims it.
type Worker interface {
	// Kind returns the kind of job that the worker does.
	Kind() string

	// Work does a job. It must be harmless to run again, because a claim can be lost at
	// any moment; ctx ends then. If Work returns nil, the job is done; GiveUp makes it
	// fail for good, Snooze puts it off, and after any other error it is retried later.
	Work(ctx context.Context, j *proget.Job, p *Progress) error
}

// GiveUp returns an error with which a worker makes its job fail for good; err says
// why.
func GiveUp(err error) error {
	if err == nil {
		err = errors.New("no reason was given")
	}
	return &verdict{err: err}
}

// Snooze returns an error with which a worker puts its job off for d. That is no
// failure.
func Snooze(d time.Duration) error { return &verdict{snooze: d} }

// A verdict is an error by which a worker decides what happens to its job.
type verdict struct {
	err    error
	snooze time.Duration
}

func (v *verdict) Error() string {
	if v.err != nil {
		return v.err.Error()
	}
	return "postponed by " + v.snooze.String()
}

func (v *verdict) Unwrap() error { return v.err }

// Jobs is the queue from which a Pool claims jobs. *db.Store is one.
type Jobs interface {
	ClaimJob(ctx context.Context, worker, lane string, ttl time.Duration) (*proget.Job, error)
	BeatJob(ctx context.Context, j *proget.Job, ttl time.Duration, done, total int64, message string) error
	FinishJob(ctx context.Context, j *proget.Job, state proget.JobState, done, total int64, message string) error
	RetryJob(ctx context.Context, j *proget.Job, delay time.Duration, failed bool, message string) error
	LogJob(ctx context.Context, j *proget.Job, part int64, lines []string) error
}

var _ Jobs = (*db.Store)(nil)

// A Pool claims jobs and works several at a time, alongside the pools of the other
// indexing nodes.
type Pool struct {
	jobs    Jobs
	name    string
	workers map[string]Worker
	opts    PoolOptions
}

// PoolOptions configure a Pool. The zero value is ready to use.
type PoolOptions struct {
	// Lanes says how many jobs of each lane this node works at once; default: two of
	// the lane "". Jobs wait only for others of their lane: give a kind that needs a
	// limit of its own a lane of its own.
	Lanes map[string]int

	Poll   time.Duration // average pause after an empty lane; default 1 s
	Claim  time.Duration // how long a job stays with a worker that is silent; default 15 s
	Logger *slog.Logger  // default: slog.Default()
}

// NewPool returns a Pool for the node with that name. It returns an error if an option
// is invalid, a worker is nil, or two workers do jobs of one kind. opts may be nil.
func NewPool(jobs Jobs, name string, opts *PoolOptions, workers ...Worker) (*Pool, error) {
	p := &Pool{jobs: jobs, name: name, workers: make(map[string]Worker)}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.Lanes == nil {
		p.opts.Lanes = map[string]int{"": 2}
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
		if w == nil {
			return nil, errors.New("one of the pool's workers is nil")
		}
		if p.workers[w.Kind()] != nil {
			return nil, fmt.Errorf("there is a worker for jobs of kind %q already", w.Kind())
		}
		p.workers[w.Kind()] = w
	}
	if err := p.opts.check(); err != nil {
		return nil, err
	}
	return p, nil
}

func (o *PoolOptions) check() error {
	for lane, atOnce := range o.Lanes {
		if atOnce < 0 {
			return fmt.Errorf("the number of jobs at once in the lane %q is negative", lane)
		}
	}
	if o.Poll < 0 {
		return errors.New("a negative Poll cannot be used; 0 means its default")
	}
	if o.Claim < time.Second {
		return fmt.Errorf("a Claim of %s cannot be renewed in time; use at least a second, or 0 for its default", o.Claim)
	}
	return nil
}

// Run works jobs until ctx ends and the workers have returned. Unfinished jobs then go
// back into the queue.
func (p *Pool) Run(ctx context.Context) error {
	var g errgroup.Group
	for lane, atOnce := range p.opts.Lanes {
		for range atOnce {
			g.Go(func() error { p.loop(ctx, lane); return nil })
		}
	}
	return g.Wait()
}

func (p *Pool) loop(ctx context.Context, lane string) {
	for ctx.Err() == nil {
		asked := time.Now()
		j, err := p.jobs.ClaimJob(ctx, p.name, lane, p.opts.Claim)
		if err != nil && ctx.Err() == nil {
			p.opts.Logger.WarnContext(ctx, "no job could be claimed", "error", err)
		}
		if j != nil && p.work(ctx, j, asked.Add(p.opts.Claim)) {
			continue
		}
		select {
		case <-time.After(p.opts.Poll/2 + rand.N(p.opts.Poll)):
		case <-ctx.Done():
		}
	}
}

// work does a job whose claim can be trusted until the time trusted by this node's
// clock. It reports whether the job was begun and its claim was kept.
func (p *Pool) work(ctx context.Context, j *proget.Job, trusted time.Time) bool {
	log := p.opts.Logger.With("job", j.ID, "kind", j.Kind, "attempt", j.Attempt)
	log.InfoContext(ctx, "job begins")
	progress := new(Progress)
	progress.Log("Attempt %d started on server %s.", j.Attempt, p.name)
	lost, err := p.claimed(ctx, j, trusted, progress)
	if lost {
		log.WarnContext(ctx, "the claim was lost; another worker has the job, or will have it", "error", err)
		return false
	}
	o := p.ending(ctx.Err() != nil, j, progress, err)
	if err := p.conclude(ctx, j, progress, o); err != nil {
		log.WarnContext(ctx, "the job's end could not be recorded; it will be run again", "error", err)
		return false
	}
	if errors.Is(err, errNotBegun) {
		log.WarnContext(ctx, "the job was put back", "error", err)
		return false
	}
	if o.failed {
		log.WarnContext(ctx, "job failed", "error", err, Stack(err))
		return true
	}
	log.InfoContext(ctx, "job ends", "outcome", o.said)
	return true
}

// Time limits for writing the end of a job. While the node runs, the limit for the end
// itself is the length of a claim, so that a database that is failing over has time to
// return.
const (
	logWithin  = 2 * time.Second // the rest of its log
	stopWithin = 5 * time.Second // what remains to be written when the node stops
)

// conclude writes the rest of a job's log, which pages follow until the job has ended,
// and then its end, which alone decides whether the job runs again. The end is written
// under the claim's number, so it does no harm if it is late.
func (p *Pool) conclude(ctx context.Context, j *proget.Job, progress *Progress, o ending) error {
	progress.Log("%s", o.said)
	unlogged := p.flushAll(ctx, j, progress)
	end, cancel := lasting(ctx, p.opts.Claim)
	defer cancel()
	err := o.record(end)
	if unlogged != nil && err == nil {
		unlogged = p.flushAll(ctx, j, progress)
	}
	if unlogged != nil {
		p.opts.Logger.WarnContext(ctx, "the last lines of a job's log could not be written", "job", j.ID, "error", unlogged)
	}
	return err
}

// lasting returns a context for what must still be written after ctx has ended: it
// lasts for d, but not longer than stopWithin after ctx.
func lasting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopWithin, cancel) })
	return last, func() { stop(); cancel() }
}

// claimed runs the worker with a context that ends with the claim.
func (p *Pool) claimed(ctx context.Context, j *proget.Job, trusted time.Time, progress *Progress) (lost bool, err error) {
	w, ok := p.workers[j.Kind]
	if !ok {
		return false, Snooze(time.Minute) // a node of another version may know it
	}
	if trusted, err = p.begin(ctx, j, trusted); err != nil {
		return errors.Is(err, proget.ErrStale), err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beating sync.WaitGroup
	beating.Go(func() { p.beat(ctx, cancel, j, trusted, progress) })
	err = Safely(func() error { return w.Work(ctx, j, progress) })
	cause := context.Cause(ctx)
	cancel(nil)
	beating.Wait()
	if err != nil && errors.Is(cause, proget.ErrCanceled) {
		err = cause
	}
	return errors.Is(cause, proget.ErrStale), err
}

// begin tells the database that work on the job begins: from then on, silence counts as
// a failure. It returns the time until which the claim can be trusted.
func (p *Pool) begin(ctx context.Context, j *proget.Job, trusted time.Time) (time.Time, error) {
	ctx, cancel := context.WithDeadline(ctx, trusted)
	defer cancel()
	asked := time.Now()
	err := p.jobs.BeatJob(ctx, j, p.opts.Claim, 0, 0, "")
	if err != nil && !errors.Is(err, proget.ErrCanceled) {
		err = fmt.Errorf("%w: %w", errNotBegun, err)
	}
	return asked.Add(p.opts.Claim), err
}

// errNotBegun means that the database did not learn that a job begins.
var errNotBegun = errors.New("the job was not begun")

// beat renews the claim until ctx ends. No request lasts longer than the claim can be
// trusted.
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
		case errors.Is(err, proget.ErrCanceled):
			lost(err)
			return
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
	if err := p.jobs.BeatJob(ctx, j, p.opts.Claim, done, total, message); err != nil {
		return err
	}
	if err := p.flush(ctx, j, progress); err != nil && ctx.Err() == nil {
		p.opts.Logger.WarnContext(ctx, "lines of a job's log wait to be written", "job", j.ID, "error", err)
	}
	return nil
}

// flush writes what the job has logged since the last call.
func (p *Pool) flush(ctx context.Context, j *proget.Job, progress *Progress) error {
	part, lines := progress.unwritten()
	if len(lines) == 0 {
		return nil
	}
	if err := p.jobs.LogJob(ctx, j, part, lines); err != nil {
		return err
	}
	progress.written()
	return nil
}

// flushAll writes everything that the job has logged: first, if need be, the part that
// was sent but not confirmed.
func (p *Pool) flushAll(ctx context.Context, j *proget.Job, progress *Progress) (err error) {
	ctx, cancel := lasting(ctx, logWithin)
	defer cancel()
	for range flushes {
		if _, lines := progress.unwritten(); len(lines) == 0 {
			return nil
		}
		err = p.flush(ctx, j, progress)
	}
	return err
}

// flushes is the maximum number of attempts to write the end of a job's log.
const flushes = 4

// An ending is what happens to a job after an attempt.
type ending struct {
	failed bool   // the job itself failed, not its node
	said   string // line for the job's log
	record func(ctx context.Context) error
}

// ending decides what happens to a job whose worker has returned.
func (p *Pool) ending(stopping bool, j *proget.Job, progress *Progress, err error) ending {
	done, total, message := progress.Get()
	finish := func(state proget.JobState, message, said string) ending {
		message = kept(message)
		return ending{state == proget.JobFailed, said, func(ctx context.Context) error { return p.jobs.FinishJob(ctx, j, state, done, total, message) }}
	}
	retry := func(delay time.Duration, failed bool, message, said string) ending {
		message = kept(message)
		return ending{failed, said, func(ctx context.Context) error { return p.jobs.RetryJob(ctx, j, delay, failed, message) }}
	}
	var v *verdict
	switch {
	case err == nil:
		return finish(proget.JobDone, message, "Done.")
	case errors.Is(err, proget.ErrCanceled):
		return finish(proget.JobCanceled, "Canceled while it ran.", "Canceled.")
	case stopping:
		return retry(0, false, "The server stopped.", "The server is stopping; this or another server will continue the job.")
	case errors.Is(err, errNotBegun):
		return retry(0, false, "The job could not be started.", err.Error())
	case errors.As(err, &v) && v.err == nil:
		return retry(v.snooze, false, v.Error(), fmt.Sprintf("Postponed by %s.", v.snooze))
	case errors.As(err, &v):
		return finish(proget.JobFailed, err.Error(), "Failed, and will not be retried: "+err.Error())
	case j.Failures+1 >= j.MaxFailures:
		return finish(proget.JobFailed, err.Error(), fmt.Sprintf("Failed %s, and will not be retried: %v", quantity.Of(j.Failures+1, "time"), err))
	}
	delay := backoff(j.Failures + 1)
	return retry(delay, true, err.Error(), fmt.Sprintf("Failed, and will be retried in %s: %v", delay.Round(time.Second), err))
}

// backoff returns the time before a retry. It grows with the fourth power of the
// failures, as 1 s, 16 s, 81 s, up to an hour, and is jittered by a tenth either way.
func backoff(failures int64) time.Duration {
	n := min(failures, 10)
	d := min(time.Duration(n*n*n*n)*time.Second, time.Hour)
	return d*9/10 + rand.N(d/5)
}
