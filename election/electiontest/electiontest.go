// Package electiontest tests whether an election.Driver fulfils its contract.
package electiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// Run tests the whole contract. newDriver sets up an empty backend and returns a
// function; each call of that function returns another driver over the same backend, as
// for several nodes.
func Run(t *testing.T, newDriver func(t *testing.T) func(t *testing.T) election.Driver) {
	for name, test := range map[string]func(t *testing.T, open func(t *testing.T) election.Driver){
		"OneWinner": testOneWinner,
		"Grows":     testGrows,
		"Above":     testAbove,
		"Renew":     testRenew,
		"Expiry":    testExpiry,
		"Over":      testOver,
		"NoStack":   testNoStack,
		"Abandoned": testAbandoned,
		"Handover":  testHandover,
		"Paused":    testPaused,
		"Crowd":     testCrowd,
		"Ended":     testEnded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newDriver(t))
		})
	}
}

func candidate(name string) election.Candidacy {
	return election.Candidacy{Office: "office", Holder: name, Address: "at " + name, TTL: time.Minute}
}

// testOneWinner: of many candidates at once, one wins.
func testOneWinner(t *testing.T, open func(t *testing.T) election.Driver) {
	a, b := open(t), open(t)
	var won atomic.Int64
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			d := []election.Driver{a, b}[n%2]
			_, err := d.Acquire(t.Context(), candidate(fmt.Sprint("candidate ", n)))
			if err == nil {
				won.Add(1)
				return
			}
			require.ErrorIs(t, err, election.ErrHeld)
		})
	}
	all.Wait()
	require.EqualValues(t, 1, won.Load())
}

// testAbove: a term's number is greater than Above, even if the driver knows only
// smaller ones, and numbers continue from there.
func testAbove(t *testing.T, open func(t *testing.T) election.Driver) {
	d := open(t)
	const seen = 1 << 52
	c := candidate("a")
	c.Above = seen
	l, err := d.Acquire(t.Context(), c)
	require.NoError(t, err)
	require.Greater(t, l.Fence.Number, int64(seen))
	require.LessOrEqual(t, l.Fence.Number-seen, int64(1<<53))
	require.NoError(t, d.Renew(t.Context(), l))
	require.NoError(t, d.Release(t.Context(), l))
	next, err := open(t).Acquire(t.Context(), candidate("b"))
	require.NoError(t, err)
	require.Greater(t, next.Fence.Number, l.Fence.Number)
}

// short is the TTL of leases whose end a test awaits. Some backends count in seconds.
const short = 2 * time.Second

// testExpiry: a term that is not renewed ends, and its holder is told so, also when
// another has begun.
func testExpiry(t *testing.T, open func(t *testing.T) election.Driver) {
	d, ctx := open(t), t.Context()
	c := candidate("a")
	c.TTL = short
	first, err := d.Acquire(ctx, c)
	require.NoError(t, err)
	current, err := d.Current(ctx, "office")
	require.NoError(t, err)
	require.Positive(t, current.TTL)
	require.LessOrEqual(t, current.TTL, short)
	require.Eventually(t, func() bool {
		_, err := d.Current(ctx, "office")
		return errors.Is(err, election.ErrNone)
	}, time.Minute, short/20)
	require.ErrorIs(t, d.Renew(ctx, first), election.ErrLost, "although nobody else has asked")
	second, err := d.Acquire(ctx, candidate("b"))
	require.NoError(t, err)
	require.Greater(t, second.Fence.Number, first.Fence.Number)
	require.ErrorIs(t, d.Renew(ctx, first), election.ErrLost)
	require.NoError(t, d.Release(ctx, first))
	require.NoError(t, d.Renew(ctx, second), "a late release has no effect on it")
}

// testOver: a candidate that knows the holder to be dead can end the current term, and
// no other term.
func testOver(t *testing.T, open func(t *testing.T) election.Driver) {
	d, ctx := open(t), t.Context()
	former, err := d.Acquire(ctx, candidate("a"))
	require.NoError(t, err)
	present, err := d.Acquire(ctx, candidate("a"))
	require.NoError(t, err)
	c := candidate("b")
	for _, f := range []proget.Fence{former.Fence, {Number: present.Fence.Number, Term: "another"}, {Number: present.Fence.Number + 1, Term: present.Fence.Term}} {
		c.Over = f
		_, err = d.Acquire(ctx, c)
		require.ErrorIs(t, err, election.ErrHeld)
	}
	c.Over = present.Fence
	next, err := d.Acquire(ctx, c)
	require.NoError(t, err)
	require.Greater(t, next.Fence.Number, present.Fence.Number)
	require.ErrorIs(t, d.Renew(ctx, present), election.ErrLost)
	require.NoError(t, d.Release(ctx, present))
	current, err := d.Current(ctx, "office")
	require.NoError(t, err)
	require.Equal(t, "b", current.Holder)
	c = candidate("c")
	c.Over = present.Fence
	_, err = d.Acquire(ctx, c)
	require.ErrorIs(t, err, election.ErrHeld, "who comes later has not the office's present holder in mind")
}

// testAbandoned: a candidate that dies at any moment of a request leaves nothing that
// outlasts its lease.
func testAbandoned(t *testing.T, open func(t *testing.T) election.Driver) {
	d, other := open(t), open(t)
	c := candidate("a")
	c.TTL = short
	for n := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n*n)*20*time.Microsecond)
		_, _ = d.Acquire(ctx, c) // with success or without
		cancel()
	}
	require.Eventually(t, func() bool {
		_, err := other.Acquire(t.Context(), candidate("b"))
		return err == nil
	}, time.Minute, short/20)
}

// testGrows: fences grow across release, re-election and restart, and offices are
// independent.
func testGrows(t *testing.T, open func(t *testing.T) election.Driver) {
	d, ctx := open(t), t.Context()
	_, err := d.Current(ctx, "office")
	require.ErrorIs(t, err, election.ErrNone)
	var last proget.Fence
	for round := range 5 {
		l, err := d.Acquire(ctx, candidate(fmt.Sprint(round%2)))
		require.NoError(t, err)
		require.Greater(t, l.Fence.Number, last.Number)
		require.NotEmpty(t, l.Fence.Term)
		last = l.Fence
		current, err := open(t).Current(ctx, "office")
		require.NoError(t, err)
		require.Equal(t, l.Fence, current.Fence)
		require.Equal(t, l.Holder, current.Holder)
		require.Equal(t, l.Address, current.Address)
		require.NoError(t, d.Release(ctx, l))
		_, err = d.Current(ctx, "office")
		require.ErrorIs(t, err, election.ErrNone)
	}
	_, err = d.Acquire(ctx, candidate("a"))
	require.NoError(t, err)
	other := candidate("b")
	other.Office = "another office"
	_, err = d.Acquire(ctx, other)
	require.NoError(t, err)
}

func testRenew(t *testing.T, open func(t *testing.T) election.Driver) {
	d, ctx := open(t), t.Context()
	first, err := d.Acquire(ctx, candidate("a"))
	require.NoError(t, err)
	require.Positive(t, first.TTL)
	require.LessOrEqual(t, first.TTL, time.Minute)
	require.NoError(t, d.Renew(ctx, first))
	require.NoError(t, d.Release(ctx, first))
	require.ErrorIs(t, d.Renew(ctx, first), election.ErrLost, "a late renewal does not bring it back")
	_, err = d.Current(ctx, "office")
	require.ErrorIs(t, err, election.ErrNone)
	second, err := d.Acquire(ctx, candidate("b"))
	require.NoError(t, err)
	require.ErrorIs(t, d.Renew(ctx, first), election.ErrLost)
	require.NoError(t, d.Release(ctx, first), "a term that is over already")
	require.NoError(t, d.Renew(ctx, second), "is not released by an older one")
}

// testEnded: a call whose context has ended returns, with or without a result.
func testEnded(t *testing.T, open func(t *testing.T) election.Driver) {
	d := open(t)
	l, err := d.Acquire(t.Context(), candidate("a"))
	require.NoError(t, err)
	for name, call := range calls(d, l) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = returns(t, name, func() error { return call(ctx) })
	}
}

// Hung tests the part of the contract for a backend that does not answer once hang has
// been called: each call must return when its context ends, with an error that does not
// tell who holds the office.
func Hung(t *testing.T, d election.Driver, hang func()) {
	t.Helper()
	l, err := d.Acquire(t.Context(), candidate("a"))
	require.NoError(t, err)
	hang()
	for name, call := range calls(d, l) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := returns(t, name, func() error { return call(ctx) })
		cancel()
		require.Error(t, err, name)
		for _, known := range []error{election.ErrHeld, election.ErrLost, election.ErrNone} {
			require.NotErrorIs(t, err, known, name)
		}
	}
}

// calls returns calls of all methods of a driver, for one term.
func calls(d election.Driver, l election.Lease) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Current": func(ctx context.Context) error { _, err := d.Current(ctx, l.Office); return err },
		"Acquire": func(ctx context.Context) error { _, err := d.Acquire(ctx, candidate("b")); return err },
		"Renew":   func(ctx context.Context) error { return d.Renew(ctx, l) },
		"Release": func(ctx context.Context) error { return d.Release(ctx, l) },
	}
}

// returns calls call, and fails the test if that hangs.
func returns(t *testing.T, name string, call func() error) (err error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err = <-done:
	case <-time.After(time.Minute):
		require.Fail(t, name+" does not heed its context")
	}
	return err
}

// testNoStack: after many acquisitions, one release suffices.
func testNoStack(t *testing.T, open func(t *testing.T) election.Driver) {
	d, ctx := open(t), t.Context()
	var l election.Lease
	for range 20 {
		newer, err := d.Acquire(ctx, candidate("a"))
		require.NoError(t, err)
		require.Greater(t, newer.Fence.Number, l.Fence.Number, "a restart is a new term")
		l = newer
	}
	require.NoError(t, d.Release(ctx, l))
	_, err := d.Acquire(ctx, candidate("b"))
	require.NoError(t, err)
}

// testPaused: a holder that was paused past its lease has lost it, and its successor's
// fence is greater.
func testPaused(t *testing.T, open func(t *testing.T) election.Driver) {
	paused := &pausable{Driver: open(t)}
	opts := &election.Options{TTL: short, Renew: short / 10, Poll: 20 * time.Millisecond, Margin: short / 10}
	terms := make(chan proget.Fence, 100)
	ended := make(chan error, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	lead := func(ctx context.Context, f proget.Fence) error {
		terms <- f
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil
	}
	first, err := election.New(paused, "office", "a", opts)
	require.NoError(t, err)
	running.Go(func() { _ = first.Run(ctx, lead) })
	former := <-terms
	paused.pause()
	second, err := election.New(open(t), "office", "b", opts)
	require.NoError(t, err)
	running.Go(func() { _ = second.Run(ctx, lead) })
	require.ErrorIs(t, <-ended, election.ErrLost)
	_, leads := first.Leading()
	require.False(t, leads)
	require.Greater(t, (<-terms).Number, former.Number)
	paused.resume()
	require.ErrorIs(t, paused.Renew(t.Context(), election.Lease{Office: "office", Holder: "a", TTL: short, Fence: former}), election.ErrLost)
}

// pausable is a driver whose calls hang for a while, as a network does.
type pausable struct {
	election.Driver
	mu   sync.Mutex
	gate chan struct{}
}

func (p *pausable) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

func (p *pausable) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.gate)
	p.gate = nil
}

func (p *pausable) pass(ctx context.Context) error {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pausable) Renew(ctx context.Context, l election.Lease) error {
	if err := p.pass(ctx); err != nil {
		return err
	}
	return p.Driver.Renew(ctx, l)
}

func (p *pausable) Current(ctx context.Context, office string) (election.Lease, error) {
	if err := p.pass(ctx); err != nil {
		return election.Lease{}, err
	}
	return p.Driver.Current(ctx, office)
}

func (p *pausable) Release(ctx context.Context, l election.Lease) error {
	if err := p.pass(ctx); err != nil {
		return err
	}
	return p.Driver.Release(ctx, l)
}

// testCrowd: of fifty candidates that see the office become vacant, one gets it, and
// none asks twice. How many ask at all depends on how busy the machine is.
func testCrowd(t *testing.T, open func(t *testing.T) election.Driver) {
	d := &counting{Driver: open(t)}
	former, err := d.Acquire(t.Context(), candidate("former"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	elected := make(chan proget.Fence, 100)
	for n := range 50 {
		e, err := election.New(d, "office", fmt.Sprint("elector ", n), &election.Options{TTL: time.Minute, Poll: 300 * time.Millisecond})
		require.NoError(t, err)
		running.Go(func() {
			_ = e.Run(ctx, func(ctx context.Context, f proget.Fence) error {
				elected <- f
				<-ctx.Done()
				return nil
			})
		})
	}
	all := func() { // look at the office once more
		enough := d.looks.Load() + 150
		require.Eventually(t, func() bool { return d.looks.Load() >= enough }, time.Minute, 10*time.Millisecond)
	}
	all()
	require.EqualValues(t, 1, d.attempts.Load(), "attempts while the office is held")
	require.NoError(t, d.Release(t.Context(), former))
	require.Greater(t, (<-elected).Number, former.Fence.Number)
	all()
	require.Empty(t, elected)
	require.LessOrEqual(t, d.attempts.Load(), int64(1+50), "attempts at a vacant office")
}

type counting struct {
	election.Driver
	looks, attempts atomic.Int64
}

func (c *counting) Acquire(ctx context.Context, candidacy election.Candidacy) (election.Lease, error) {
	c.attempts.Add(1)
	return c.Driver.Acquire(ctx, candidacy)
}

func (c *counting) Current(ctx context.Context, office string) (election.Lease, error) {
	defer c.looks.Add(1)
	return c.Driver.Current(ctx, office)
}

// testHandover: with real electors, no two lead at the same time, and a leader
// that stops is followed by another with a greater fence.
func testHandover(t *testing.T, open func(t *testing.T) election.Driver) {
	opts := &election.Options{TTL: 3 * time.Second, Renew: 200 * time.Millisecond, Poll: 20 * time.Millisecond}
	var leaders atomic.Int64
	terms := make(chan proget.Fence)
	var all sync.WaitGroup
	for n := range 3 {
		e, err := election.New(open(t), "office", fmt.Sprint("elector ", n), opts)
		require.NoError(t, err)
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			require.NoError(t, e.Run(ctx, func(ctx context.Context, f proget.Fence) error {
				defer leaders.Add(-1)
				if leaders.Add(1) != 1 {
					return errors.New("two lead at once")
				}
				terms <- f
				cancel() // this elector retires
				<-ctx.Done()
				return nil
			}))
		})
	}
	var last proget.Fence
	for range 3 {
		f := <-terms
		require.Greater(t, f.Number, last.Number)
		last = f
	}
	all.Wait()
	require.Zero(t, leaders.Load())
}
