package election_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
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
	mu       sync.Mutex
	fence    int64
	holder   string
	address  string
	expires  time.Time
	acquired int                             // attempts
	renew    func(ctx context.Context) error // nil: as it should be
	grant    func(*election.Lease)           // nil: what was asked for
	release  func(election.Lease)            // is told of each, unless nil
}

func (f *fake) attempts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acquired
}

func (f *fake) held() bool { return f.holder != "" && time.Now().Before(f.expires) }

func (f *fake) lease() election.Lease {
	return election.Lease{Office: "office", Holder: f.holder, Address: f.address, TTL: time.Until(f.expires),
		Fence: proget.Fence{Number: f.fence, Term: "t"}}
}

func (f *fake) Acquire(_ context.Context, c election.Candidacy) (election.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acquired++
	if f.held() && f.holder != c.Holder && f.fence != c.Over.Number {
		return election.Lease{}, election.ErrHeld
	}
	f.fence = max(f.fence, c.Above) + 1
	f.holder, f.address, f.expires = c.Holder, c.Address, time.Now().Add(c.TTL)
	l := f.lease()
	if f.grant != nil {
		f.grant(&l)
	}
	return l, nil
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
	f.expires = time.Now().Add(5 * time.Second)
	return nil
}

func (f *fake) Release(_ context.Context, l election.Lease) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.release != nil {
		f.release(l)
	}
	if f.fence == l.Fence.Number {
		f.holder = ""
	}
	return nil
}

func (f *fake) Current(context.Context, string) (election.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.held() {
		return election.Lease{}, election.ErrNone
	}
	return f.lease(), nil
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

// TestShorterLease: a leader whose lease is shorter than what it asked for renews
// more often, and goes on.
func TestShorterLease(t *testing.T) {
	t.Parallel()
	for _, granted := range []time.Duration{3 * time.Second, time.Second, 600 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			backend := &fake{grant: func(l *election.Lease) { l.TTL = granted }}
			last := time.Now()
			backend.renew = func(context.Context) error {
				require.Less(t, time.Since(last), granted-500*time.Millisecond)
				last = time.Now()
				return nil
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, elector(t, backend, "a").Run(ctx, func(ctx context.Context, _ proget.Fence) error {
				<-ctx.Done()
				return nil
			}))
			require.Equal(t, 1, backend.attempts())
		})
	}
}

// TestGrantIsChecked: nobody leads under a lease that a driver must not have
// given, and the log says why.
func TestGrantIsChecked(t *testing.T) {
	t.Parallel()
	for want, grant := range map[string]func(*election.Lease){
		"too short: 500ms":                      func(l *election.Lease) { l.TTL = 500 * time.Millisecond },
		"too short: 0s":                         func(l *election.Lease) { l.TTL = 0 },
		"number 41, and not one above 41":       func(l *election.Lease) { l.Fence.Number = 41 },
		"number -3, and not one above 41":       func(l *election.Lease) { l.Fence.Number = -3 },
		"9223372036854775807, too far above 41": func(l *election.Lease) { l.Fence.Number = math.MaxInt64 },
	} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			released := int64(0)
			backend := &fake{grant: grant, release: func(l election.Lease) { released = l.Fence.Number }}
			e, err := election.New(backend, "office", "a", &election.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Seen: func(context.Context, string) (int64, error) { return 41, nil }})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, e.Run(ctx, func(context.Context, proget.Fence) error {
				t.Error("it leads")
				return nil
			}))
			require.Contains(t, log.String(), want)
			require.NotZero(t, released)
		})
	}
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
			require.LessOrEqual(t, time.Since(began), 5100*time.Millisecond)
			cancel()
			return nil
		}))
	})
}

// TestNumbersSeen: a candidate's term has a greater number than whoever checks
// the fences has seen, and a candidate that cannot ask does not stand.
func TestNumbersSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend, asked := &fake{}, 0
		e, err := election.New(backend, "office", "a", &election.Options{Seen: func(_ context.Context, office string) (int64, error) {
			require.Equal(t, "office", office)
			if asked++; asked < 3 {
				require.Zero(t, backend.attempts())
				return 0, errors.New("the database is away")
			}
			return 41, nil
		}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, e.Run(ctx, func(_ context.Context, f proget.Fence) error {
			require.EqualValues(t, 42, f.Number)
			cancel()
			return nil
		}))
		require.Equal(t, 1, backend.attempts())
	})
}

// TestNoStampede: of fifty candidates nobody tries for an office that is held,
// and few do when it becomes vacant.
func TestNoStampede(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fake{}
		_, err := backend.Acquire(t.Context(), election.Candidacy{Office: "office", Holder: "former", TTL: 30 * time.Second})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		elected := make(chan proget.Fence)
		for n := range 50 {
			all.Go(func() {
				require.NoError(t, elector(t, backend, fmt.Sprint(n)).Run(ctx, func(ctx context.Context, f proget.Fence) error {
					elected <- f
					<-ctx.Done()
					return nil
				}))
			})
		}
		time.Sleep(29 * time.Second)
		require.Equal(t, 1, backend.attempts(), "while the office is held")
		require.EqualValues(t, 2, (<-elected).Number)
		time.Sleep(time.Minute)
		require.LessOrEqual(t, backend.attempts(), 10)
		cancel()
		all.Wait()
	})
}
