package upkeep_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/proget-go/ha/indexing/upkeep"
)

// BenchmarkCollect frees 20,000 files of 4 KiB, each of a deleted version, on a
// folder, while a client pushes one package after the other.
func BenchmarkCollect(b *testing.B) {
	const files = 20_000
	in := newInstallation(b)
	for range b.N {
		b.StopTimer()
		for n := range files {
			_, err := in.blobs.Put(b.Context(), strings.NewReader(fmt.Sprintf("%d %s", n, strings.Repeat("x", 4<<10))), nil)
			require.NoError(b, err)
		}
		in.age(b)
		b.StartTimer()
		began := time.Now()
		longest := in.pushWhile(b, func() {
			_, err := run(b, in.collector(time.Hour), "")
			require.NoError(b, err)
		})
		b.ReportMetric(files/time.Since(began).Minutes(), "files/min")
		b.ReportMetric(longest.Seconds()*1000, "ms-longest-push")
	}
}

// BenchmarkMark looks for garbage among a million blobs, every tenth of which
// nothing refers to, while a client pushes.
func BenchmarkMark(b *testing.B) {
	in := newInstallation(b)
	in.mustPush(b, "1", "a x")
	pool, err := sql.Open("sqlite", filepath.Join(in.dir, "test.db"))
	require.NoError(b, err)
	defer pool.Close()
	_, err = pool.ExecContext(b.Context(), `
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
INSERT INTO blob (sha256, size, storage_id, storage_key, created, touched) SELECT printf('a%063d', i), 100, 0, 'blobs/x' || i, 0, 0 FROM n;
INSERT INTO package_file (version_id, blob_id, name, name_key)
SELECT v.version_id, b.blob_id, 'f', 'f' || b.blob_id FROM blob b, package_version v WHERE b.blob_id % 10 > 0 AND b.size = 100`)
	require.NoError(b, err)
	for b.Loop() {
		last, err := in.db.LastBlob(b.Context())
		require.NoError(b, err)
		began := time.Now()
		longest := in.pushWhile(b, func() {
			for after := int64(0); after < last; after += 1000 {
				_, err := in.db.MarkBlobs(b.Context(), after, after+1000, time.Hour)
				require.NoError(b, err)
			}
		})
		b.ReportMetric(float64(last)/time.Since(began).Seconds(), "blobs/s")
		b.ReportMetric(longest.Seconds()*1000, "ms-longest-push")
	}
}

// BenchmarkSweep compares a million rows with a storage that has 10,000 objects.
func BenchmarkSweep(b *testing.B) {
	in := newInstallation(b)
	pool, err := sql.Open("sqlite", filepath.Join(in.dir, "test.db"))
	require.NoError(b, err)
	defer pool.Close()
	_, err = pool.ExecContext(b.Context(), `
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
INSERT INTO blob (sha256, size, storage_id, storage_key, created, touched)
SELECT printf('a%063d', i), 100, 0, printf('blobs/%02x/%02x/%032x', i % 256, i / 256 % 256, i), 0, 9000000000000000 FROM n`)
	require.NoError(b, err)
	for range 10_000 {
		_, err := in.blobs.Put(b.Context(), strings.NewReader("x"), nil)
		require.NoError(b, err)
	}
	for b.Loop() {
		began, keys := time.Now(), 0
		for _, err := range upkeep.Compare(b.Context(), in.db, in.blobs, 0) {
			require.NoError(b, err)
			keys++
		}
		b.ReportMetric(float64(keys)/time.Since(began).Seconds(), "keys/s")
	}
}

// pushWhile pushes packages while fn runs, and returns how long the longest push
// took.
func (in *installation) pushWhile(b *testing.B, fn func()) (longest time.Duration) {
	ctx, stop := context.WithCancel(b.Context())
	var pushing sync.WaitGroup
	pushing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			began := time.Now()
			_, err := in.push(context.WithoutCancel(ctx), fmt.Sprint(began.UnixNano()), fmt.Sprintf("b %d", n))
			if err != nil {
				b.Error(err)
			}
			longest = max(longest, time.Since(began))
		}
	})
	fn()
	stop()
	pushing.Wait()
	return longest
}
