package postgres

import (
	"context"
	"database/sql"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/dbtest"
	"github.com/proget-go/ha/internal/testenv"
)

// fill makes 20,000 packages with ten versions each: 200,000 versions, files, blobs and
// log entries, enough for an index to be faster than the whole table.
const fill = `
INSERT INTO feed (feed_id, name, name_key, feed_type, description, active, created, storage_id, redirect) VALUES (1, 'main', 'main', 'test', '', 1, 0, 0, 0);
INSERT INTO feed_head VALUES (1, 200000);
INSERT INTO package (feed_id, name_key) SELECT 1, 'package.' || i FROM generate_series(1, 20000) i;
INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest, published, published_by, downloads, last_used)
SELECT p.package_id, p.name_key, '1.0.' || n, '1.0.' || n, 0, 1, '', 0, '{}', 0, 'test', 0, 0 FROM package p, generate_series(1, 10) n;
INSERT INTO blob (sha256, size, storage_id, storage_key, created, touched) SELECT md5(v.version_id::text) || md5('x' || v.version_id), 100, 0, 'blobs/' || v.version_id, 0, 0 FROM package_version v;
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added) SELECT b.blob_id, b.blob_id, 'f', 'f', '', '', 0 FROM blob b;
INSERT INTO file_alias SELECT 1, 'alias.' || file_id, file_id FROM package_file WHERE file_id % 10 = 0;
INSERT INTO feed_log (feed_id, seq, kind, package_key, version_key, actor, logged, operation, packages_diff, versions_diff, bytes_diff)
SELECT 1, i, 'published', 'package.' || i / 10, '1.0', 'test', 0, 'op' || i, 0, 1, 100 FROM generate_series(1, 200000) i;
INSERT INTO download_day SELECT version_id, 20260100 + version_id % 28, 1 FROM package_version WHERE version_id % 10 = 0;
INSERT INTO package_tag SELECT package_id, 'latest', MAX(version_id) FROM package_version GROUP BY package_id;
INSERT INTO deleted_version SELECT i, 1, 'deleted.' || i, 'deleted', '1.0', '1.0', 0, 1, '', 0, '{}', 0, 'test', 0, i, 'test' FROM generate_series(1, 100000) i;
INSERT INTO deleted_file (version_id, name, size, sha256, storage_id, data, aliases, added) SELECT version_id, 'f', 100, md5(package_key), 0, '', '', 0 FROM deleted_version;
INSERT INTO deleted_tag SELECT version_id, 'latest' FROM deleted_version;
INSERT INTO upload SELECT md5(i::text), 0, 0, '', 'test', i, i FROM generate_series(1, 100000) i;
INSERT INTO upload_part SELECT u.upload_key, 0, 1, b.blob_id FROM upload u JOIN blob b ON b.blob_id = u.created;
INSERT INTO job (kind, argument, lane, queued_by, cancel, state, priority, run_after, attempt, failures, max_failures, worker, claim_expires, done, total, remark, created, started, finished)
SELECT 'test', '', '', '', 0, CASE WHEN i % 2 = 0 THEN 'waiting' ELSE 'done' END, 0, i, 0, 0, 3, '', 0, 0, 0, '', i, i, CASE WHEN i % 2 = 0 THEN 0 ELSE i END FROM generate_series(1, 100000) i;
INSERT INTO job_log SELECT job_id, 1, 1, 0, '' FROM job;
INSERT INTO index_head VALUES (1, 'catalog', 100000, '', '');
INSERT INTO index_file SELECT 1, 'catalog', 'data/' || i, i, 9223372036854775807, 0, i, 0, 1, '' FROM generate_series(1, 100000) i;
INSERT INTO index_file SELECT 1, 'catalog', 'index.json', i, i + 1, i, i, 0, 1, '' FROM generate_series(1, 10000) i;
ANALYZE`

// TestPlans asks the engine how it would run each query on many versions.
func TestPlans(t *testing.T) {
	t.Parallel()
	url := testenv.StartPostgres(t).NewDatabase(t)
	s, err := Open(t.Context(), url, nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	pool, err := sql.Open("pgx", url+"&default_query_exec_mode=simple_protocol")
	require.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close() })
	_, err = pool.ExecContext(t.Context(), fill)
	require.NoError(t, err)
	scan := regexp.MustCompile(`Seq Scan on (` + dbtest.Growing + `)\b`)
	dbtest.Plans(t, engine{}, func(t *testing.T, statement string) []string {
		return scan.FindAllString(plan(t.Context(), t, pool, statement), -1)
	})
	claimPlan(t, pool)
	pagePlan(t, pool)
}

// pagePlan: a page of packages is found by their keys, and their versions by the
// packages.
func pagePlan(t *testing.T, pool *sql.DB) {
	queries, err := db.SharedQueries()
	require.NoError(t, err)
	page := db.ReplaceParameters(queries["ListVersionUse"], func(name string) string {
		return map[string]string{"feed_id": "1", "from_key": "'package.10000'", "upto": "'package.10003'"}[name]
	})
	require.NotContains(t, plan(t.Context(), t, pool, page), "Seq Scan")
}

// claimPlan: the next job is the first entry of an index, however many wait.
func claimPlan(t *testing.T, pool *sql.DB) {
	queries, err := db.ParseQueries(engine{}.Files(), "queries")
	require.NoError(t, err)
	claim := db.ReplaceParameters(queries["ClaimJob"], func(name string) string {
		return map[string]string{"lane": "''", "worker": "'w'", "now": engine{}.Now(), "ttl": "1"}[name]
	})
	text := plan(t.Context(), t, pool, claim)
	require.Contains(t, text, "using job_waiting")
	require.NotContains(t, text, "Sort")
}

func plan(ctx context.Context, t *testing.T, pool *sql.DB, statement string) (text string) {
	t.Helper()
	rows, err := pool.QueryContext(ctx, "EXPLAIN "+statement)
	require.NoError(t, err, statement)
	defer rows.Close()
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		text += line + "\n"
	}
	require.NoError(t, rows.Err())
	return text
}
