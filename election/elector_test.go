package election_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// fake is a backend in memory whose answers a test can hold up or spoil.
type fake struct {
	mu      sync.Mutex
	fence   int64
	holder  string
	expires time.Time
	renew   func(ctx context.Context) error // nil: as it should be
}

func (f *fake) Acquire(_ context.Context, c election.Candidacy) (election.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holder != "" && f.holder != c.Holder && time.Now().Before(f.expires) {
		return election.Lease{}, election.ErrHeld
	}
	f.fence++
	f.holder, f.expires = c.Holder, time.Now().Add(c.TTL)
	return election.Lease{Candidacy: c, Fence: proget.Fence{Number: f.fence, Term: "t"}}, nil
}

func (f *fake) Renew(ctx context.Context, l election.Lease) error {
	if f.renew != nil {
		return f.renew(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fence != l.Fence.Number {
		return election.ErrLost
	}
	f.expires = time.Now().Add(l.TTL)
	return nil
}

func (f *fake) Release(_ context.Context, l election.Lease) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fence == l.Fence.Number {
		f.holder = ""
	}
	return nil
}

func (f *fake) Current(context.Context, string) (election.Lease, error) {
	return election.Lease{}, election.ErrNone
}

func elector(t *testing.T, d election.Driver, name string) *election.Elector {
	t.Helper()
	e, err := election.New(d, "office", name, nil)
	require.NoError(t, err)
	return e
}

func TestTimingIsChecked(t *testing.T) {
	t.Parallel()
	_, err := election.New(&fake{}, "office", "a", &election.Options{TTL: time.Second, Renew: time.Second})
	require.ErrorContains(t, err, "must exceed")
}

// TestTrustEndsBeforeTheLease: a leader whose renewals hang is stopped before
// its lease can have run out, counted from before it asked.
func TestTrustEndsBeforeTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fake{renew: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := elector(t, backend, "a").Run(ctx, func(ctx context.Context, _ proget.Fence) error {
			began := time.Now()
			<-ctx.Done()
			require.ErrorIs(t, context.Cause(ctx), election.ErrLost)
			require.LessOrEqual(t, time.Since(began), 5*time.Second-500*time.Millisecond)
			cancel()
			return nil
		})
		require.NoError(t, err)
	})
}

func TestFailedRenewalsAreTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fake{}
		fail := 2
		backend.renew = func(context.Context) error {
			if fail--; fail >= 0 {
				return errors.New("the network blinks")
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		terms := 0
		require.NoError(t, elector(t, backend, "a").Run(ctx, func(ctx context.Context, _ proget.Fence) error {
			terms++
			<-ctx.Done()
			return nil
		}))
		require.Equal(t, 1, terms)
	})
}

func TestLostLeaseStopsTheLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fake{}
		e := elector(t, backend, "a")
		ctx, cancel := context.WithCancel(t.Context())
		err := e.Run(ctx, func(ctx context.Context, _ proget.Fence) error {
			_, leads := e.Leading()
			require.True(t, leads)
			backend.mu.Lock()
			backend.fence++ // another term has begun
			backend.mu.Unlock()
			<-ctx.Done()
			_, leads = e.Leading()
			require.False(t, leads)
			cancel()
			return nil
		})
		require.NoError(t, err)
	})
}

// TestRunWaitsForTheLeader: a leader that is slow to stop is waited for, and
// only then is the office free.
func TestRunWaitsForTheLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fake{}
		ctx, cancel := context.WithCancel(t.Context())
		stopped := false
		require.NoError(t, elector(t, backend, "a").Run(ctx, func(ctx context.Context, _ proget.Fence) error {
			cancel()
			<-ctx.Done()
			time.Sleep(time.Second)
			require.Equal(t, "a", backend.holder)
			stopped = true
			return nil
		}))
		require.True(t, stopped)
		require.Empty(t, backend.holder)
	})
}

func TestFailedLeaderCampaignsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var fences []int64
		require.NoError(t, elector(t, &fake{}, "a").Run(ctx, func(_ context.Context, f proget.Fence) error {
			if fences = append(fences, f.Number); len(fences) == 3 {
				cancel()
			}
			return errors.New("a duty failed")
		}))
		require.Equal(t, []int64{1, 2, 3}, fences)
	})
}

// TestExpiry: a leader that vanishes without a word is followed within the
// lease.
func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fake{}
		_, err := backend.Acquire(t.Context(), election.Candidacy{Office: "office", Holder: "gone", TTL: 5 * time.Second})
		require.NoError(t, err)
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, elector(t, backend, "b").Run(ctx, func(context.Context, proget.Fence) error {
			require.LessOrEqual(t, time.Since(began), 6500*time.Millisecond)
			cancel()
			return nil
		}))
	})
}
