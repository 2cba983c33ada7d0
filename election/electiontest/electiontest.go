// Package electiontest is the contract of an election.Driver as tests.
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

// Run runs the whole contract. newDriver returns one and the same fresh
// backend's driver each time the function that it returns is called, as
// several nodes do.
func Run(t *testing.T, newDriver func(t *testing.T) func(t *testing.T) election.Driver) {
	for name, test := range map[string]func(t *testing.T, open func(t *testing.T) election.Driver){
		"OneWinner": testOneWinner,
		"Grows":     testGrows,
		"Renew":     testRenew,
		"NoStack":   testNoStack,
		"Handover":  testHandover,
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

// testOneWinner: of many who ask at once, one wins.
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

// testGrows: fences grow across release, re-election and restart, and offices
// do not know each other.
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
	require.NoError(t, d.Renew(ctx, first))
	require.NoError(t, d.Release(ctx, first))
	second, err := d.Acquire(ctx, candidate("b"))
	require.NoError(t, err)
	require.ErrorIs(t, d.Renew(ctx, first), election.ErrLost)
	require.NoError(t, d.Release(ctx, first), "a term that is over already")
	require.NoError(t, d.Renew(ctx, second), "is not released by an older one")
}

// testNoStack: who acquires many times releases once.
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

// testHandover: with real electors, no two lead at the same time, and a leader
// that stops is followed by another with a greater fence.
func testHandover(t *testing.T, open func(t *testing.T) election.Driver) {
	opts := &election.Options{TTL: 3 * time.Second, Renew: 200 * time.Millisecond, Retry: 20 * time.Millisecond}
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
