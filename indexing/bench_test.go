package indexing_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

// BenchmarkSync is the question for what is new, as many readers at once share
// it.
func BenchmarkSync(b *testing.B) {
	onEngines(b, benchmarkSync)
}

// onEngines runs a benchmark on an empty database of each engine.
func onEngines(b *testing.B, run func(b *testing.B, s *db.Store)) {
	for engine, open := range map[string]func() (*db.Store, error){
		"SQLite": func() (*db.Store, error) {
			return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "test.db"), &db.Options{Logger: dark})
		},
		"PostgreSQL": func() (*db.Store, error) {
			return postgres.Open(b.Context(), testenv.StartPostgres(b).NewDatabase(b), &db.Options{Logger: dark})
		},
	} {
		b.Run(engine, func(b *testing.B) {
			s, err := open()
			require.NoError(b, err)
			defer s.Close()
			run(b, s)
		})
	}
}

func benchmarkSync(b *testing.B, s *db.Store) {
	for _, readers := range []int{1, 16, 256, 1000} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			tail := indexing.NewTail(s, &indexing.TailOptions{Logger: dark})
			defer tail.Close()
			var all sync.WaitGroup
			for n := range readers {
				all.Go(func() {
					for i := n; i < b.N; i += readers {
						if err := tail.Sync(b.Context()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// BenchmarkJobs is jobs that do nothing: claimed, logged and finished by the
// workers of one node.
func BenchmarkJobs(b *testing.B) {
	onEngines(b, func(b *testing.B, s *db.Store) {
		for _, workers := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) { benchmarkJobs(b, s, workers) })
		}
	})
}

func benchmarkJobs(b *testing.B, s *db.Store, workers int) {
	queue(b, s, b.N, db.NewJob{Kind: "test"})
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var done atomic.Int64
	pool, err := indexing.NewPool(counted{s, func() {
		if done.Add(1) == int64(b.N) {
			stop()
		}
	}}, "w", &indexing.PoolOptions{Lanes: map[string]int{"": workers}, Logger: dark},
		worker(func(context.Context, *proget.Job, *indexing.Progress) error { return nil }))
	require.NoError(b, err)
	b.ResetTimer()
	require.NoError(b, pool.Run(ctx))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// counted calls finished for each job that is.
type counted struct {
	*db.Store
	finished func()
}

func (c counted) FinishJob(ctx context.Context, j *proget.Job, state proget.JobState, done, total int64, message string) error {
	err := c.Store.FinishJob(ctx, j, state, done, total, message)
	c.finished()
	return err
}

// BenchmarkClaim is one claim while so many jobs wait in its lane, in another,
// and for their time.
func BenchmarkClaim(b *testing.B) {
	onEngines(b, func(b *testing.B, s *db.Store) {
		queued := map[db.NewJob]int{}
		for _, n := range []struct{ lane, others, delayed int }{{100, 0, 0}, {100, 100_000, 100_000}, {100_000, 100_000, 100_000}} {
			for j, n := range map[db.NewJob]int{{Kind: "test"}: n.lane, {Kind: "test", Lane: "other"}: n.others, {Kind: "test", Delay: time.Hour}: n.delayed} {
				queue(b, s, n-queued[j], j)
				queued[j] = n
			}
			b.Run(fmt.Sprintf("lane=%d/others=%d/delayed=%d", n.lane, n.others, n.delayed), func(b *testing.B) { benchmarkClaim(b, s) })
		}
	})
}

func benchmarkClaim(b *testing.B, s *db.Store) {
	for b.Loop() {
		j, err := s.ClaimJob(b.Context(), "w", "", time.Minute)
		require.NoError(b, err)
		require.NotNil(b, j)
		b.StopTimer()
		require.NoError(b, s.RetryJob(b.Context(), j, 0, false, ""))
		b.StartTimer()
	}
}

// queue queues so many jobs, a thousand in each transaction.
func queue(b *testing.B, s *db.Store, n int, j db.NewJob) {
	for ; n > 0; n -= 1000 {
		require.NoError(b, s.Tx(b.Context(), func(tx *db.Tx) error {
			for range min(n, 1000) {
				if err := tx.Enqueue(b.Context(), j); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}
