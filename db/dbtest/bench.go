package dbtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// Benchmark measures the operations that clients wait for while the feed with id 1
// grows from ten thousand to a million versions. grow must run statements that add the
// missing versions up to the given number, ten per package with the keys "package.1"
// and so on, the log entries of all, and packages "many.1", "many.100" and "many.1000"
// with as many versions.
func Benchmark(b *testing.B, s *db.Store, grow func(b *testing.B, versions int)) {
	ctx := b.Context()
	f := &proget.Feed{Name: "main", Type: "test", Active: true}
	require.NoError(b, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateFeed(ctx, f) }))
	require.EqualValues(b, 1, f.ID)
	var next atomic.Int64
	for _, versions := range []int{10_000, 100_000, 1_000_000} {
		grow(b, versions)
		b.Run(fmt.Sprintf("versions=%d", versions), func(b *testing.B) {
			for _, clients := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("publish/clients=%d", clients), func(b *testing.B) {
					benchmark(b, clients, func() error { return publishNext(ctx, s, f.ID, next.Add(1)) })
				})
			}
			for _, n := range []int{1, 100, 1000} {
				b.Run(fmt.Sprintf("cold-read/of=%d", n), func(b *testing.B) {
					benchmark(b, 1, func() error {
						p, err := s.LoadPackage(ctx, f.ID, fmt.Sprintf("many.%d", n))
						if err == nil && len(p.Versions) != n {
							err = fmt.Errorf("%d versions", len(p.Versions))
						}
						return err
					})
				})
			}
			b.Run("heads", func(b *testing.B) {
				benchmark(b, 1, func() error {
					_, err := s.Heads(ctx)
					return err
				})
			})
		})
	}
}

// benchmark has so many clients run op b.N times between them.
func benchmark(b *testing.B, clients int, op func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ResetTimer()
	for range clients {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := op(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// publishNext publishes a version as a push does, each to a package of its own
// among a thousand.
func publishNext(ctx context.Context, s *db.Store, feedID, n int64) error {
	key := fmt.Sprintf("bench.%d", n%1000)
	v := version(int(n))
	v.Files[0].StorageKey = fmt.Sprintf("blobs/bench/%d", n)
	v.Files[0].Digests = proget.Digests{proget.SHA256: fmt.Sprintf("b%063d", n)}
	known, err := s.FindUpload(ctx, feedID, key, v.Files[0])
	if err != nil {
		return err
	}
	ch := &db.Change{FeedID: feedID, Operation: fmt.Sprint("bench", n), Actor: "test", Kind: proget.VersionPublished, PackageKey: key, VersionKey: v.Key}
	_, err = s.Change(ctx, ch, func(tx *db.Tx) error {
		created, err := tx.AddVersion(ctx, feedID, key, v, nil, known)
		ch.Packages, ch.Versions, ch.Bytes = 0, 1, v.Files[0].Size
		if created {
			ch.Packages = 1
		}
		return err
	})
	return err
}
