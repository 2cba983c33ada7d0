package retention_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/retention"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

// many makes 100,000 packages with ten versions each.
const many = `
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO package (feed_id, name_key) SELECT 1, 'package.' || i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest, published, published_by, downloads, last_used)
SELECT p.package_id, p.name_key, n.i, n.i, 0, 1, '', 0, '{}', 0, 'test', 0, 0 FROM package p, n;
INSERT INTO blob (sha256, size, storage_id, storage_key, created, touched) SELECT 'd' || version_id, 100, 0, 'blobs/' || version_id, 0, 0 FROM package_version;
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added) SELECT blob_id, blob_id, 'f', 'f', '', '', 0 FROM blob;`

// BenchmarkRetention applies rules to a feed of a million versions on SQLite: a
// dry run, and one that deletes a hundredth.
func BenchmarkRetention(b *testing.B) {
	ctx := b.Context()
	path := filepath.Join(b.TempDir(), "test.db")
	s, err := sqlite.Open(ctx, path, &db.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	defer s.Close()
	f := &proget.Feed{Name: "main", Type: "plain", Active: true}
	err = s.Administer(ctx, "test", func(tx *db.Tx) error {
		if err := tx.CreateFeed(ctx, f); err != nil {
			return err
		}
		return tx.SetRetentionRules(ctx, f.ID, []proget.RetentionRule{{KeepNewest: 9, Names: []string{"*1"}}})
	})
	require.NoError(b, err)
	pool, err := sql.Open("sqlite", path)
	require.NoError(b, err)
	defer pool.Close()
	_, err = pool.ExecContext(ctx, many)
	require.NoError(b, err)
	blobs, err := storage.Open(ctx, "mem:", nil)
	require.NoError(b, err)
	defer blobs.Close()
	types := []feed.Type{plain()}
	worker := retention.NewWorker(s, types, publish.New(s, storage.NewSet(blobs, nil), types, nil), slog.New(slog.DiscardHandler))
	for b.Loop() {
		for _, dryRun := range []bool{true, false} {
			require.NoError(b, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, retention.Job(f, dryRun, "ann")) }))
			j, err := s.ClaimJob(ctx, "w", retention.Lane, time.Hour)
			require.NoError(b, err)
			began, p := time.Now(), new(indexing.Progress)
			require.NoError(b, worker.Work(ctx, j, p))
			_, _, said := p.Get()
			b.ReportMetric(time.Since(began).Seconds(), fmt.Sprintf("s/dry=%v", dryRun))
			b.Log(said)
		}
	}
}
