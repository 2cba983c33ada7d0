package postgres

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/dbtest"
	"github.com/proget-go/ha/internal/testenv"
)

// growing adds the versions after the first number up to the second, and the
// packages that have many.
const growing = `
INSERT INTO package (feed_id, name_key) SELECT 1, 'package.' || i FROM generate_series(%[1]d / 10 + 1, %[2]d / 10) i;
INSERT INTO package (feed_id, name_key) SELECT 1, 'many.' || n FROM unnest(ARRAY[1, 100, 1000]) n ON CONFLICT DO NOTHING;
INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest, published, published_by, downloads, last_used)
SELECT p.package_id, p.name_key, '1.0.' || n, '1.0.' || n, 0, 1, '', 0, '{}', 0, 'test', 0, 0
FROM package p, generate_series(1, CASE WHEN p.name_key LIKE 'many.%%' THEN substr(p.name_key, 6)::int ELSE 10 END) n
WHERE (p.name_key LIKE 'package.%%' OR p.name_key LIKE 'many.%%') AND NOT EXISTS (SELECT 1 FROM package_version o WHERE o.package_id = p.package_id);
INSERT INTO blob (sha256, size, storage_id, storage_key, created, touched)
SELECT md5(v.version_id::text) || md5('x' || v.version_id), 100, 0, 'blobs/' || v.version_id, 0, 0
FROM package_version v WHERE NOT EXISTS (SELECT 1 FROM package_file f WHERE f.version_id = v.version_id);
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added)
SELECT v.version_id, b.blob_id, 'f', 'f', '', '', 0
FROM package_version v JOIN blob b ON b.storage_id = 0 AND b.storage_key = 'blobs/' || v.version_id
WHERE NOT EXISTS (SELECT 1 FROM package_file f WHERE f.version_id = v.version_id);
INSERT INTO feed_log (feed_id, seq, kind, package_key, version_key, actor, logged, operation, packages_diff, versions_diff, bytes_diff)
SELECT 1, h.head + i, 'published', 'package.' || i / 10, '1.0', 'test', 0, 'op' || h.head + i, 0, 1, 100 FROM feed_head h, generate_series(1, %[2]d - %[1]d) i WHERE h.feed_id = 1;
UPDATE feed_head SET head = head + %[2]d - %[1]d WHERE feed_id = 1;
ANALYZE`

func BenchmarkDatabase(b *testing.B) {
	url := testenv.StartPostgres(b).NewDatabase(b)
	s, err := Open(b.Context(), url, nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	pool, err := sql.Open("pgx", url+"&default_query_exec_mode=simple_protocol")
	require.NoError(b, err)
	b.Cleanup(func() { _ = pool.Close() })
	have := 0
	dbtest.Benchmark(b, s, func(b *testing.B, versions int) {
		_, err := pool.ExecContext(b.Context(), fmt.Sprintf(growing, have, versions))
		require.NoError(b, err)
		have = versions
	})
}
