package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

// together runs n transactions that wait for each other, so that each has a
// connection of its own, and returns how many attempts they took.
func together(ctx context.Context, t *testing.T, s *db.Store, n int) int {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	ctx, end := sdk.NewTracerProvider(sdk.WithSyncer(spans)).Tracer("test").Start(ctx, "together")
	defer end.End()
	var met, done sync.WaitGroup
	met.Add(n)
	for i := range n {
		done.Go(func() {
			var once sync.Once
			err := s.Tx(ctx, func(tx *db.Tx) error {
				err := tx.SetSetting(ctx, fmt.Sprint(i), "set")
				if err == nil {
					once.Do(met.Done)
					met.Wait()
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	attempts := 0
	for _, s := range spans.GetSpans() {
		if s.Name == "transaction" {
			attempts++
		}
	}
	return attempts
}

// TestBecameReplica: a server that went on as a replica keeps its connections and
// refuses to write. The first operation that is refused spares all others.
func TestBecameReplica(t *testing.T) {
	t.Parallel()
	const connections = 8
	former := testenv.StartPostgres(t)
	url := former.NewDatabase(t)
	standby := former.StartStandby(t)
	both := strings.Replace(url, former.Host(), former.Host()+","+standby.Host(), 1) + "&target_session_attrs=read-write"
	s, err := postgres.Open(t.Context(), both, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.Equal(t, connections, together(t.Context(), t, s, connections))

	standby.Promote(t)
	admin, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	for _, statement := range []string{"ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"} {
		_, err = admin.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return together(t.Context(), t, s, 1) > 1 }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, connections, together(t.Context(), t, s, connections))
}

// TestFrozenServer: a server that takes connections and answers nothing does not
// use up the time for a change: the next host is asked.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	proxy := testenv.StartProxy(t, server.Host())
	url := strings.Replace(server.NewDatabase(t), server.Host(), proxy.Address()+","+server.Host(), 1) + "&connect_timeout=1"
	s, err := postgres.Open(t.Context(), url, &db.Options{Attempt: 3 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() {
		proxy.Heal()
		require.NoError(t, s.Close())
	})
	_ = together(t.Context(), t, s, 4)
	proxy.Cut()
	require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { return tx.SetSetting(t.Context(), "key", "value") }))
	all, err := s.Settings(t.Context())
	require.NoError(t, err)
	require.Equal(t, "value", all["key"])
}

// TestLateClaim: a claim of a job is given up before it would have run out on its way.
func TestLateClaim(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	proxy := testenv.StartProxy(t, server.Host())
	url := strings.Replace(server.NewDatabase(t), server.Host(), proxy.Address(), 1)
	s, err := postgres.Open(t.Context(), url, &db.Options{Patience: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() {
		proxy.Heal()
		require.NoError(t, s.Close())
	})
	proxy.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = s.ClaimJob(ctx, "w", "", 3*time.Second)
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.NoError(t, ctx.Err())
}

// TestLateEnd: a job whose end was committed, but whose answer was lost, has ended.
func TestLateEnd(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	late := testenv.StartLateCommits(t, server.Host())
	s, err := postgres.Open(t.Context(), strings.Replace(server.NewDatabase(t), server.Host(), late.Host(), 1), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), db.NewJob{Kind: "test"}) }))
	j, err := s.ClaimJob(t.Context(), "w", "", time.Minute)
	require.NoError(t, err)
	late.LoseNext(0) // the statement with this message, which commits itself
	require.NoError(t, s.FinishJob(t.Context(), j, proget.JobDone, 1, 1, "all is committed"))
	require.EqualValues(t, 1, late.Lost())
	ended, err := s.FindJob(t.Context(), j.ID)
	require.NoError(t, err)
	require.Equal(t, proget.JobDone, ended.State)
}

// TestOverload: while more clients work than there are connections, heartbeats,
// leases and the question for what is new still get through.
func TestOverload(t *testing.T) {
	t.Parallel()
	s, err := postgres.Open(t.Context(), testenv.StartPostgres(t).NewDatabase(t), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	started, finish := make(chan struct{}, 64), make(chan struct{})
	var clients sync.WaitGroup
	for range cap(started) {
		clients.Go(func() {
			err := s.Tx(t.Context(), func(tx *db.Tx) error {
				_, _, err := tx.Setting(t.Context(), "none")
				started <- struct{}{}
				<-finish
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range 12 {
		<-started
	}
	_, err = s.Heads(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.BeatNode(t.Context(), db.Node{Name: "web-1", Instance: "i", Details: "{}"}))
	_, won, err := s.AcquireLease(t.Context(), db.LeaseRequest{Office: "indexing", Holder: "a", Term: "term", TTL: time.Minute})
	require.NoError(t, err)
	require.True(t, won)
	close(finish)
	clients.Wait()
}

// TestStandstill: a client that stands still in the middle of a transaction does
// not keep others from the rows that it has changed; when it goes on, its
// transaction is begun again.
func TestStandstill(t *testing.T) {
	t.Parallel()
	url := testenv.StartPostgres(t).NewDatabase(t)
	open := func() *db.Store {
		s, err := postgres.Open(t.Context(), url, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	still, other := open(), open()
	set := func(s *db.Store, key, value string) error {
		return s.Tx(t.Context(), func(tx *db.Tx) error { return tx.SetSetting(t.Context(), key, value) })
	}
	require.NoError(t, set(other, "key", "none"))
	standing, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	attempts := 0
	go func() {
		done <- still.Tx(t.Context(), func(tx *db.Tx) error {
			if err := tx.SetSetting(t.Context(), "key", "still"); err != nil {
				return err
			}
			if attempts++; attempts == 1 {
				close(standing)
				<-goOn
			}
			return tx.SetSetting(t.Context(), "other", "still")
		})
	}()
	<-standing
	require.NoError(t, set(other, "key", "other"), "the row is free again in time")
	close(goOn)
	require.NoError(t, <-done)
	require.Equal(t, 2, attempts)
	all, err := other.Settings(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"still", "still"}, []string{all["key"], all["other"]})
}

// TestConnectionsBreak: while all connections break again and again, those who ask
// wait; afterwards, nobody waits any more.
func TestConnectionsBreak(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	proxy := testenv.StartProxy(t, server.Host())
	store, err := postgres.Open(t.Context(), strings.Replace(server.NewDatabase(t), server.Host(), proxy.Address(), 1), nil)
	require.NoError(t, err)
	defer store.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			for ctx.Err() == nil {
				_, _ = store.Clock(ctx) // fails, or not
			}
		})
	}
	for range 15 {
		proxy.Break()
		time.Sleep(100 * time.Millisecond) // for them to come back
	}
	for range 20 {
		_, err := store.Clock(t.Context())
		require.NoError(t, err)
	}
	stop()
	asking.Wait()
}
