package election

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/proget-go/ha/internal/recurring"
	"github.com/proget-go/ha/proget"
)

// Options configure an Elector. The zero value is ready to use.
type Options struct {
	TTL    time.Duration // the TTL of a lease; default 5 s
	Renew  time.Duration // time between renewals; default 1.5 s; at most a third of the time the lease is trusted
	Poll   time.Duration // time between looks at who holds the office, jittered by a fifth; default 2 s
	Margin time.Duration // how long before its lease can run out the leader stops acting; default 500 ms

	// Beacon shows the others that this candidate is alive. Without one, they wait for
	// its lease to run out, even if it has died.
	Beacon *Beacon

	// Seen returns the greatest term number seen by whoever checks the fences, such as
	// db.Store.SeenFence. A candidate does not stand while Seen fails. Optional:
	// without it, numbers grow as far as the driver remembers.
	Seen func(ctx context.Context, office string) (int64, error)

	Logger *slog.Logger // default: slog.Default()
}

// An Elector makes a process one candidate for one office.
type Elector struct {
	driver    Driver
	candidacy Candidacy
	opts      Options

	unknown  recurring.Failure // failure to find out who holds the office
	campaign recurring.Failure // failure to campaign

	mu      sync.Mutex
	leading *Lease
}

// New returns an Elector for the candidate holder, whose name must be unique. It
// returns an error if d is nil, a name is empty, or TTL does not exceed Renew plus
// Margin.
func New(d Driver, office, holder string, opts *Options) (*Elector, error) {
	if opts == nil {
		opts = &Options{}
	}
	o := *opts
	for _, option := range []struct {
		p      *time.Duration
		preset time.Duration
	}{{&o.TTL, 5 * time.Second}, {&o.Renew, 1500 * time.Millisecond}, {&o.Poll, 2 * time.Second}, {&o.Margin, 500 * time.Millisecond}} {
		if *option.p == 0 {
			*option.p = option.preset
		}
	}
	if o.Renew <= 0 || o.Poll <= 0 || o.Margin <= 0 || o.TTL <= o.Margin+o.Renew {
		return nil, fmt.Errorf("election: TTL %s must exceed Renew %s plus Margin %s, and all must be positive", o.TTL, o.Renew, o.Margin)
	}
	if d == nil || office == "" || holder == "" {
		return nil, errors.New("election: a driver is needed, and names for the office and the holder")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("office", office, "candidate", holder)
	e := &Elector{driver: d, opts: o, candidacy: Candidacy{Office: office, Holder: holder, TTL: o.TTL}}
	if o.Beacon != nil {
		e.candidacy.Address = o.Beacon.Address()
	}
	return e, nil
}

// Leading returns the fence of the current term, and whether this candidate leads by
// its own clock.
func (e *Elector) Leading() (proget.Fence, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading == nil {
		return proget.Fence{}, false
	}
	return e.leading.Fence, true
}

func (e *Elector) setLeading(l *Lease) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leading = l
}

// Run campaigns until ctx ends. Whenever it is elected, it calls lead with a context
// that ends before the lease can run out, waits for lead to return, releases the office
// and campaigns again. It returns nil when ctx has ended and lead has returned, and an
// error only if lead is nil. If the release fails, it logs that; the office is then
// free when the lease has run out.
func (e *Elector) Run(ctx context.Context, lead func(ctx context.Context, f proget.Fence) error) error {
	if lead == nil {
		return errors.New("election: there is nothing to do for who is elected")
	}
	var watching *watch
	unwatch := func() {
		if watching != nil {
			watching.close()
			watching = nil
		}
	}
	defer unwatch()
	for ctx.Err() == nil {
		l, err := e.current(ctx)
		if err == nil || errors.Is(err, ErrNone) {
			e.unknown.End()
		}
		switch {
		case err != nil && !errors.Is(err, ErrNone):
			e.warn(ctx, &e.unknown, "cannot find out who the leader is", err)
			e.rest(ctx, e.opts.Poll)
		case err != nil || l.Holder == e.candidacy.Holder:
			unwatch()
			e.stand(ctx, proget.Fence{}, lead)
		default:
			if watching == nil || watching.lease.Fence != l.Fence {
				unwatch()
				watching = startWatch(ctx, l)
			}
			if e.await(ctx, watching, l.TTL) == dead {
				unwatch()
				e.stand(ctx, l.Fence, lead)
			}
		}
	}
	return nil
}

func (e *Elector) current(ctx context.Context) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.TTL)
	defer cancel()
	return e.driver.Current(ctx, e.candidacy.Office)
}

// spread is the time over which candidates that learn of a vacancy at the same moment
// distribute their attempts, so that most of them find that another was quicker.
const spread = 50 * time.Millisecond

// await waits until it is time to look at the office again.
func (e *Elector) await(ctx context.Context, w *watch, remaining time.Duration) (f finding) {
	again := time.NewTimer(min(remaining+rand.N(spread), jittered(e.opts.Poll)))
	defer again.Stop()
	select {
	case f = <-w.findings:
		e.opts.Logger.InfoContext(ctx, "there is no leader; standing for election", "holder", w.lease.Holder, "term", w.lease.Fence.Number, "died", f == dead)
		e.pause(ctx, rand.N(spread))
	case <-again.C:
	case <-ctx.Done():
	}
	return f
}

// rest waits for about d, jittered so that candidates spread.
func (e *Elector) rest(ctx context.Context, d time.Duration) { e.pause(ctx, jittered(d)) }

func (e *Elector) pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// jittered returns d, changed randomly by at most a fifth.
func jittered(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5) }

func (e *Elector) warn(ctx context.Context, f *recurring.Failure, what string, err error) {
	if ctx.Err() == nil {
		f.Warn(ctx, e.opts.Logger, what, err)
	}
}

// stand tries to take the office, and leads if it is elected. The office is vacant, or
// its current term is over although the lease has not run out.
func (e *Elector) stand(ctx context.Context, over proget.Fence, lead func(context.Context, proget.Fence) error) {
	asked := time.Now()
	l, err := e.acquire(ctx, over)
	if err == nil || errors.Is(err, ErrHeld) {
		e.campaign.End()
	}
	switch {
	case err == nil:
		e.serve(ctx, l, asked, lead)
		e.rest(ctx, e.opts.Poll) // so that another may take the office
	case errors.Is(err, ErrHeld):
		e.rest(ctx, spread)
	default:
		e.warn(ctx, &e.campaign, "cannot stand for election", err)
		e.rest(ctx, e.opts.Poll)
	}
}

func (e *Elector) acquire(ctx context.Context, over proget.Fence) (l Lease, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.TTL-e.opts.Margin) // a later lease could not be trusted
	defer cancel()
	c := e.candidacy
	c.Over = over
	if e.opts.Seen != nil {
		if c.Above, err = e.opts.Seen(ctx, c.Office); err != nil {
			return l, fmt.Errorf("find the latest term: %w", err)
		}
	}
	l, err = e.driver.Acquire(ctx, c)
	if err == nil {
		if err = e.check(c, l); err != nil {
			e.release(ctx, l)
		}
	}
	return l, err
}

// maxStep is the maximum distance of a term's number from the greatest seen. It permits
// numbers that are microseconds since 1970, and keeps a faulty driver from using up the
// numbers of an office.
const maxStep = 1 << 53

// check refuses a lease that a driver must not grant, because the leader, or any after
// it, could do nothing under it.
func (e *Elector) check(c Candidacy, l Lease) error {
	n := l.Fence.Number
	switch {
	case e.trusted(l) <= 0:
		return fmt.Errorf("the lease that was granted is too short: %s, and a leader stops %s before its end", l.TTL, e.opts.Margin)
	case n <= c.Above:
		return fmt.Errorf("the term that was granted has the number %d, and not one above %d", n, c.Above)
	case n-c.Above > maxStep:
		return fmt.Errorf("the term that was granted has the number %d, too far above %d", n, c.Above)
	}
	return nil
}

// trusted returns how long a leader acts without a renewal.
func (e *Elector) trusted(l Lease) time.Duration { return min(e.opts.TTL, l.TTL) - e.opts.Margin }

// serve runs one term: it calls lead, holds the lease and releases the office.
func (e *Elector) serve(ctx context.Context, l Lease, asked time.Time, lead func(context.Context, proget.Fence) error) {
	log := e.opts.Logger.With("term", l.Fence.Number)
	term, end := context.WithCancelCause(ctx)
	e.setLeading(&l)
	log.InfoContext(ctx, "elected")
	done := make(chan error, 1)
	go func() { done <- lead(term, l.Fence) }()
	err := e.hold(term, end, l, asked, done)
	e.setLeading(nil)
	if err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "the term as leader has ended", "error", err)
	} else {
		log.InfoContext(ctx, "the term as leader has ended")
	}
	e.release(ctx, l)
}

// hold renews the lease until lead has returned. It ends the context of lead when the
// lease is lost or can no longer be trusted.
func (e *Elector) hold(term context.Context, end context.CancelCauseFunc, l Lease, asked time.Time, done <-chan error) error {
	defer end(nil)
	trusted := e.trusted(l)
	every := min(e.opts.Renew, trusted/3) // the driver may have granted less than it was asked for
	trust := time.NewTimer(time.Until(asked.Add(trusted)))
	defer trust.Stop()
	renewals := make(chan renewal, 1)
	next := time.NewTimer(every)
	defer next.Stop()
	calls, stop := context.WithCancel(term)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	defer stop()
	for {
		select {
		case err := <-done:
			return err
		case <-next.C:
			renewing.Go(func() { renewals <- e.renew(calls, l, trusted) })
		case r := <-renewals:
			switch {
			case r.err == nil:
				trust.Reset(time.Until(r.asked.Add(trusted)))
				next.Reset(time.Until(r.asked.Add(every)))
			case errors.Is(r.err, ErrLost):
				return e.stepDown(end, r.err, done)
			default:
				next.Reset(every / 5)
			}
		case <-trust.C:
			return e.stepDown(end, fmt.Errorf("%w: it could not be renewed in time", ErrLost), done)
		case <-term.Done():
			e.setLeading(nil)
			return <-done
		}
	}
}

type renewal struct {
	asked time.Time
	err   error
}

func (e *Elector) renew(ctx context.Context, l Lease, within time.Duration) renewal {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	asked := time.Now()
	return renewal{asked, e.driver.Renew(ctx, l)}
}

// stepDown ends the leader's context and waits for lead to return. It logs an error if
// that takes longer than the margin: from then on only the fence keeps order.
func (e *Elector) stepDown(end context.CancelCauseFunc, cause error, done <-chan error) error {
	e.setLeading(nil)
	end(cause)
	select {
	case <-done:
		return cause
	case <-time.After(e.opts.Margin):
		e.opts.Logger.Error("the leader's work continues although its lease has expired; its writes will be refused", "cause", cause)
	}
	<-done
	return cause
}

// release releases the office, even if ctx has ended.
func (e *Elector) release(ctx context.Context, l Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.opts.Margin+time.Second)
	defer cancel()
	if err := e.driver.Release(ctx, l); err != nil {
		e.opts.Logger.WarnContext(ctx, "leadership could not be released; it becomes free when the lease expires", "error", err)
		return
	}
	if e.opts.Beacon != nil {
		e.opts.Beacon.end(l.Fence)
	}
}
