package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/dbtest"
)

const growing = `
WITH RECURSIVE n(i) AS (SELECT %[1]d / 10 + 1 UNION ALL SELECT i + 1 FROM n WHERE i < %[2]d / 10)
INSERT INTO package (feed_id, name_key) SELECT 1, 'package.' || i FROM n;
INSERT INTO package (feed_id, name_key) VALUES (1, 'many.1'), (1, 'many.100'), (1, 'many.1000') ON CONFLICT DO NOTHING;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest, published, published_by, downloads, last_used)
SELECT p.package_id, p.name_key, '1.0.' || n.i, '1.0.' || n.i, 0, 1, '', 0, '{}', 0, 'test', 0, 0
FROM package p JOIN n ON n.i <= CASE WHEN p.name_key LIKE 'many.%%' THEN CAST(substr(p.name_key, 6) AS INTEGER) ELSE 10 END
WHERE (p.name_key LIKE 'package.%%' OR p.name_key LIKE 'many.%%') AND NOT EXISTS (SELECT 1 FROM package_version o WHERE o.package_id = p.package_id);
INSERT INTO blob (sha256, size, storage_id, storage_key, created, touched)
SELECT printf('a%%063d', v.version_id), 100, 0, 'blobs/' || v.version_id, 0, 0
FROM package_version v WHERE NOT EXISTS (SELECT 1 FROM package_file f WHERE f.version_id = v.version_id);
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added)
SELECT v.version_id, b.blob_id, 'f', 'f', '', '', 0
FROM package_version v JOIN blob b ON b.storage_id = 0 AND b.storage_key = 'blobs/' || v.version_id
WHERE NOT EXISTS (SELECT 1 FROM package_file f WHERE f.version_id = v.version_id);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %[2]d - %[1]d)
INSERT INTO feed_log (feed_id, seq, kind, package_key, version_key, actor, logged, operation, packages_diff, versions_diff, bytes_diff)
SELECT 1, h.head + n.i, 'published', 'package.' || n.i / 10, '1.0', 'test', 0, 'op' || (h.head + n.i), 0, 1, 100 FROM feed_head h, n WHERE h.feed_id = 1;
UPDATE feed_head SET head = head + %[2]d - %[1]d WHERE feed_id = 1`

func BenchmarkDatabase(b *testing.B) {
	e := engine{filepath.Join(b.TempDir(), "test.db")}
	s, err := db.Open(b.Context(), e, nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	pool, err := e.pool("", 1)
	require.NoError(b, err)
	b.Cleanup(func() { _ = pool.Close() })
	have := 0
	dbtest.Benchmark(b, s, func(b *testing.B, versions int) {
		_, err := pool.ExecContext(b.Context(), fmt.Sprintf(growing, have, versions))
		require.NoError(b, err)
		have = versions
	})
}
