package election_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/static"
	"github.com/proget-go/ha/proget"
)

// The leases of these tests are so long that a test which waits for the end of
// one fails.
const longLease = time.Hour

// place is where a beacon is, or was, or something else is; the test speaks.
type place struct {
	t *testing.T
	net.Listener
}

func newPlace(t *testing.T) *place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return &place{t, l}
}

// accept waits for a watcher and says something to it.
func (p *place) accept(words string) net.Conn {
	p.t.Helper()
	c, err := p.Accept()
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, words)
	require.NoError(p.t, err)
	return c
}

const greeting = "proget-election 1 INSTANCE\n"

// candidate is an elector that waits for an office which another holds.
type candidate struct {
	election.Driver
	terms chan proget.Fence
	looks atomic.Int64
}

func (c *candidate) Current(ctx context.Context, office string) (election.Lease, error) {
	c.looks.Add(1)
	return c.Driver.Current(ctx, office)
}

// notElected waits until the candidate has looked at the office a while longer.
func (c *candidate) notElected(t *testing.T) {
	t.Helper()
	enough := c.looks.Load() + 50
	require.Eventually(t, func() bool { return c.looks.Load() >= enough }, time.Minute, time.Millisecond)
	require.Empty(t, c.terms)
}

// standBy runs a candidate for the office whose holder's beacon is at a place.
func standBy(t *testing.T, p *place) *candidate {
	t.Helper()
	c := &candidate{Driver: static.New(), terms: make(chan proget.Fence, 1)}
	_, err := c.Acquire(t.Context(), election.Candidacy{Office: "office", Holder: "primary", Address: p.Addr().String() + "/INSTANCE", TTL: longLease})
	require.NoError(t, err)
	run(t, c, "candidate", &election.Options{TTL: longLease, Poll: 20 * time.Millisecond}, c.terms)
	return c
}

// run runs an elector that reports its terms, until the test or the returned
// function ends it.
func run(t *testing.T, d election.Driver, name string, opts *election.Options, terms chan<- proget.Fence) (stop func()) {
	t.Helper()
	e, err := election.New(d, "office", name, opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		_ = e.Run(ctx, func(ctx context.Context, f proget.Fence) error {
			terms <- f
			<-ctx.Done()
			return nil
		})
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// TestDeath: where a beacon was met and the kernel refuses now, the holder is
// dead.
func TestDeath(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := standBy(t, p)
	conn := p.accept(greeting)
	c.notElected(t)
	require.NoError(t, p.Close())
	require.NoError(t, conn.Close())
	<-c.terms
}

// TestReplaced: where a beacon was met, another process's is now.
func TestReplaced(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := standBy(t, p)
	require.NoError(t, p.accept(greeting).Close())
	p.accept("proget-election 1 ANOTHER\n")
	<-c.terms
}

// TestBrokenConnections: a beacon that can be reached again lives.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := standBy(t, p)
	for range 5 {
		require.NoError(t, p.accept(greeting).Close())
	}
	p.accept(greeting)
	c.notElected(t)
}

// TestNeverMet: whatever is at the place of a beacon that was not met proves
// nothing: the address may be wrong.
func TestNeverMet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := standBy(t, p)
	for _, words := range []string{"", "HTTP/1.1 400 Bad Request\r\n\r\n", "proget-election 1 ANOTHER\n", "over 1 t\n", strings.Repeat("x", 5000)} {
		require.NoError(t, p.accept(words).Close())
	}
	require.NoError(t, p.Close())
	c.notElected(t)
}

// TestSilence: a holder that is not heard of may live.
func TestSilence(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := standBy(t, p)
	require.NoError(t, p.accept(greeting).Close())
	c.notElected(t) // the next connection is not accepted
}

// TestAnothersTerm: the end of another term than the present one is none.
func TestAnothersTerm(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := standBy(t, p)
	p.accept(greeting + "over 1 t\nover \nover 99999999999999999999 t\nnonsense\n")
	c.notElected(t)
}

// TestRelease: those who watch a leader learn at once that it leads no longer,
// and one of them follows.
func TestRelease(t *testing.T) {
	t.Parallel()
	d := static.New()
	terms := make(chan proget.Fence, 3)
	stops := make(map[int]func())
	for n := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		b, err := election.NewBeacon(l, "localhost")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		require.True(t, strings.HasPrefix(b.Address(), "localhost:"))
		// Nobody looks at the office by itself twice.
		stops[n] = run(t, d, fmt.Sprint(n), &election.Options{TTL: longLease, Poll: longLease, Beacon: b}, terms)
	}
	for range 2 {
		<-terms
		l, err := d.Current(t.Context(), "office")
		require.NoError(t, err)
		var leader int
		_, err = fmt.Sscan(l.Holder, &leader)
		require.NoError(t, err)
		stops[leader]()
	}
	<-terms
}

// TestCrowd: a beacon that too many watch serves those who came last.
func TestCrowd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b, err := election.NewBeacon(l, "")
	require.NoError(t, err)
	watchers := make([]net.Conn, 1030)
	for n := range watchers {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		_, err = io.ReadFull(c, make([]byte, len("proget-election 1 ")+26+1))
		require.NoError(t, err)
		watchers[n] = c
	}
	for n, c := range watchers[:6] {
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err, "the watcher %d is let go", n)
	}
	require.Equal(t, 1024, b.Watchers())
	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "there is nothing to close any more")
}

// TestCrowdedOut: a candidate whose connection had to go is back, and takes
// nobody for dead.
func TestCrowdedOut(t *testing.T) {
	t.Parallel()
	d, terms := static.New(), make(chan proget.Fence, 2)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b, err := election.NewBeacon(l, "")
	require.NoError(t, err)
	defer b.Close()
	stop := run(t, d, "primary", &election.Options{TTL: longLease, Beacon: b}, terms)
	first := <-terms
	other := &candidate{Driver: d, terms: make(chan proget.Fence, 1)}
	run(t, other, "candidate", &election.Options{TTL: longLease, Poll: 20 * time.Millisecond}, other.terms)
	require.Eventually(t, func() bool { return b.Watchers() == 1 }, time.Minute, time.Millisecond)
	for range 1024 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
	}
	other.notElected(t)
	stop()
	require.Greater(t, (<-other.terms).Number, first.Number)
}

// TestUnspecified: an address that stands for all of a machine's is none to be
// reached under.
func TestUnspecified(t *testing.T) {
	t.Parallel()
	for _, listened := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		l, err := net.Listen("tcp", listened)
		if err != nil {
			t.Skip(err)
		}
		defer l.Close()
		_, err = election.NewBeacon(l, "")
		require.ErrorContains(t, err, "needs a host")
		_, err = election.NewBeacon(l, "0.0.0.0")
		require.ErrorContains(t, err, "needs a host")
		b, err := election.NewBeacon(l, "here.example")
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(b.Address(), "here.example:"))
		require.NoError(t, b.Close())
	}
}
