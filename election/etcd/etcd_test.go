package etcd_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/electiontest"
	"github.com/proget-go/ha/election/etcd"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

func TestConformance(t *testing.T) {
	server := testenv.StartEtcd(t)
	electiontest.Run(t, func(t *testing.T) func(*testing.T) election.Driver {
		prefix := t.Name()
		return func(t *testing.T) election.Driver { return open(t, server, prefix) }
	})
}

// open connects as another process does.
func open(t *testing.T, server *testenv.Etcd, prefix string) *etcd.Connection {
	t.Helper()
	d, err := etcd.Open(t.Context(), etcd.Settings{Hosts: []string{server.Address}, Prefix: prefix})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// client is one that looks behind the driver.
func client(t *testing.T, server *testenv.Etcd) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Address}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func candidacy(holder string) election.Candidacy {
	return election.Candidacy{Office: "an/office", Holder: holder, Address: "at " + holder, TTL: time.Minute}
}

// eventually tries again while etcd comes up and the client notices.
func eventually[T any](t *testing.T, f func(ctx context.Context) (T, error)) (result T) {
	t.Helper()
	require.Eventually(t, func() (ok bool) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		got, err := f(ctx)
		if err != nil {
			t.Log(err)
			return false
		}
		result = got
		return true
	}, time.Minute, 50*time.Millisecond)
	return result
}

// TestRestart: leases outlive a restart of etcd, and numbers go on.
func TestRestart(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	d := open(t, server, "feeds")
	first, err := d.Acquire(t.Context(), candidacy("a"))
	require.NoError(t, err)
	server.Kill(t)
	server.Restart(t)
	renew := func(ctx context.Context) (struct{}, error) { return struct{}{}, d.Renew(ctx, first) }
	eventually(t, renew)
	_, err = d.Acquire(t.Context(), candidacy("b"))
	require.ErrorIs(t, err, election.ErrHeld)
	require.NoError(t, d.Release(t.Context(), first))
	server.Kill(t)
	server.Restart(t)
	second := eventually(t, func(ctx context.Context) (election.Lease, error) { return d.Acquire(ctx, candidacy("b")) })
	require.Greater(t, second.Fence.Number, first.Fence.Number)
}

// TestLoss: etcd without its data knows no term, and numbers go on from what
// whoever checks the fences has seen.
func TestLoss(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	d := open(t, server, "feeds")
	var first election.Lease
	var err error
	for range 5 {
		first, err = d.Acquire(t.Context(), candidacy("a"))
		require.NoError(t, err)
	}
	server.Kill(t)
	server.Lose(t)
	server.Restart(t)
	require.Eventually(t, func() bool {
		_, err := d.Current(t.Context(), "an/office")
		return errors.Is(err, election.ErrNone)
	}, time.Minute, 50*time.Millisecond)
	require.ErrorIs(t, d.Renew(t.Context(), first), election.ErrLost)
	require.NoError(t, d.Release(t.Context(), first))
	c := candidacy("b")
	c.Above = first.Fence.Number
	second, err := d.Acquire(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, first.Fence.Number+1, second.Fence.Number)
	third, err := d.Acquire(t.Context(), candidacy("b"))
	require.NoError(t, err)
	require.Greater(t, third.Fence.Number, second.Fence.Number)
}

// TestAway: while etcd is away, calls end with an error within their time, and a
// leader ends before its lease can have run out.
func TestAway(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	d := open(t, server, "feeds")
	const ttl = 2 * time.Second
	opts := &election.Options{TTL: ttl, Renew: ttl / 10, Poll: 100 * time.Millisecond, Margin: ttl / 10}
	leader, err := election.New(d, "an/office", "a", opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	terms, ended, back := make(chan proget.Fence, 1), make(chan error), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- leader.Run(ctx, func(ctx context.Context, f proget.Fence) error {
			terms <- f
			<-ctx.Done()
			ended <- context.Cause(ctx)
			<-back
			return nil
		})
	}()
	first := <-terms
	killed := time.Now()
	server.Kill(t)
	for name, call := range map[string]func(ctx context.Context) error{
		"Current": func(ctx context.Context) error { _, err := d.Current(ctx, "an/office"); return err },
		"Acquire": func(ctx context.Context) error { _, err := d.Acquire(ctx, candidacy("b")); return err },
		"Renew": func(ctx context.Context) error {
			return d.Renew(ctx, election.Lease{Office: "an/office", Fence: first})
		},
		"Release": func(ctx context.Context) error {
			return d.Release(ctx, election.Lease{Office: "another", Fence: first})
		},
	} {
		go func() {
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			err := call(short)
			assert.ErrorContains(t, err, "at etcd", name)
			for _, known := range []error{election.ErrHeld, election.ErrLost, election.ErrNone} {
				assert.NotErrorIs(t, err, known, name)
			}
			assert.Less(t, time.Since(began), ttl, name)
			ended <- err
		}()
	}
	var cause error
	for range 5 {
		if err := <-ended; errors.Is(err, election.ErrLost) {
			cause = err
			require.Less(t, time.Since(killed), ttl)
		}
	}
	require.ErrorIs(t, cause, election.ErrLost)
	server.Restart(t)
	close(back)
	require.Greater(t, (<-terms).Number, first.Number)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, <-done)
}

// TestLostLease: a term whose lease etcd ended early is lost, and so is one whose
// key was replaced although its lease lives on.
func TestLostLease(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	d, c := open(t, server, "feeds"), client(t, server)
	first, err := d.Acquire(t.Context(), candidacy("a"))
	require.NoError(t, err)
	leases, err := c.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases.Leases, 1)
	_, err = c.Revoke(t.Context(), leases.Leases[0].ID)
	require.NoError(t, err)
	require.ErrorIs(t, d.Renew(t.Context(), first), election.ErrLost)
	_, err = d.Current(t.Context(), "an/office")
	require.ErrorIs(t, err, election.ErrNone)

	second, err := d.Acquire(t.Context(), candidacy("a"))
	require.NoError(t, err)
	heir := candidacy("b")
	heir.Over = second.Fence
	_, err = d.Acquire(t.Context(), heir)
	require.NoError(t, err)
	leases, err = c.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases.Leases, 2, "the former lease runs out by itself")
	require.ErrorIs(t, d.Renew(t.Context(), second), election.ErrLost)
	_, err = c.Delete(t.Context(), "feeds/an%2Foffice/term")
	require.NoError(t, err)
	require.ErrorIs(t, d.Renew(t.Context(), second), election.ErrLost)
}

// TestLeases: a lease has whole seconds and leaves etcd one to notice its end,
// and a candidate that finds the office held makes none.
func TestLeases(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	d, c := open(t, server, "feeds"), client(t, server)
	asked := candidacy("a")
	asked.TTL = 4100 * time.Millisecond
	l, err := d.Acquire(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, l.TTL)
	_, err = d.Acquire(t.Context(), candidacy("b"))
	require.ErrorIs(t, err, election.ErrHeld)
	leases, err := c.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases.Leases, 1)
	left, err := c.TimeToLive(t.Context(), leases.Leases[0].ID)
	require.NoError(t, err)
	require.EqualValues(t, 3, left.GrantedTTL)
	// What lies beside the keys is none of the office's.
	_, err = c.Put(t.Context(), "feeds/an%2Foffice/note", "by a person")
	require.NoError(t, err)
	require.NoError(t, d.Renew(t.Context(), l))
	// Another's keys are not overwritten.
	_, err = c.Put(t.Context(), "feeds/an%2Foffice/number", "many")
	require.NoError(t, err)
	_, err = d.Acquire(t.Context(), asked)
	require.ErrorContains(t, err, "holds something else")
}

// TestForeignTerm: a term that another driver began is not one of etcd's.
func TestForeignTerm(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	d := open(t, server, "feeds")
	foreign := election.Lease{Office: "an/office", Holder: "a", TTL: time.Minute, Fence: proget.Fence{Number: 1, Term: "ABC"}}
	require.ErrorIs(t, d.Renew(t.Context(), foreign), election.ErrLost)
	require.NoError(t, d.Release(t.Context(), foreign))
}

// TestHung: while etcd does not answer, calls end with their time.
func TestHung(t *testing.T) {
	t.Parallel()
	proxy := testenv.StartProxy(t, testenv.StartEtcd(t).Address)
	d, err := etcd.Open(t.Context(), etcd.Settings{Hosts: []string{proxy.Address()}, Prefix: "feeds"})
	require.NoError(t, err)
	defer d.Close()
	electiontest.Hung(t, d, proxy.Cut)
}

// TestHungMember: a member of etcd that hangs, while another answers, does not
// cost a leader its term.
func TestHungMember(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	proxy := testenv.StartProxy(t, server.Address)
	d, err := etcd.Open(t.Context(), etcd.Settings{Hosts: []string{server.Address, proxy.Address()}, Prefix: "feeds"})
	require.NoError(t, err)
	defer d.Close()
	for range 10 { // both are connected
		_, err = d.Current(t.Context(), "an/office")
		require.ErrorIs(t, err, election.ErrNone)
	}
	renewals := &counting{Driver: d}
	e, err := election.New(renewals, "an/office", "a", nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	terms, done := 0, make(chan error, 1)
	go func() {
		done <- e.Run(ctx, func(ctx context.Context, _ proget.Fence) error {
			terms++
			proxy.Cut()
			<-ctx.Done()
			return nil
		})
	}()
	require.Eventually(t, func() bool { return renewals.done.Load() >= 4 }, time.Minute, 50*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, 1, terms)
}

type counting struct {
	election.Driver
	done atomic.Int64
}

func (c *counting) Renew(ctx context.Context, l election.Lease) error {
	err := c.Driver.Renew(ctx, l)
	if err == nil {
		c.done.Add(1)
	}
	return err
}

// TestLostAnswer: a candidate that did not learn whether it won asks again.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	proxy := testenv.StartProxy(t, server.Address)
	direct := open(t, server, "feeds")
	d, err := etcd.Open(t.Context(), etcd.Settings{Hosts: []string{proxy.Address()}, Prefix: "feeds"})
	require.NoError(t, err)
	defer d.Close()
	var last election.Lease
	for range 10 {
		var transactions atomic.Int64
		proxy.LoseAnswer(func(sent []byte) bool {
			return bytes.Contains(sent, []byte("office/number")) && transactions.Add(1) == 1
		})
		_, err := d.Acquire(t.Context(), candidacy("a"))
		require.ErrorContains(t, err, "acquire the office an/office at etcd")
		l := eventually(t, func(ctx context.Context) (election.Lease, error) { return d.Acquire(ctx, candidacy("a")) })
		require.Greater(t, l.Fence.Number, last.Fence.Number)
		_, err = direct.Acquire(t.Context(), candidacy("b"))
		require.ErrorIs(t, err, election.ErrHeld)
		require.NoError(t, direct.Renew(t.Context(), l))
		last = l
	}
}
