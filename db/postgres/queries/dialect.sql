-- name: LockMigrations
SELECT pg_advisory_xact_lock(8624);

-- name: CreateSchemaVersion
CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied BIGINT NOT NULL, oldest BIGINT NOT NULL);

-- name: HasSchemaVersion
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'schema_version';

-- name: InsertFeed
INSERT INTO feed (name, name_key, feed_type, description, active, created, storage_id, redirect)
VALUES (@name, @name_key, @feed_type, @description, @active, @now, @storage_id, @redirect)
RETURNING feed_id;

-- name: AppendLog
WITH h AS (UPDATE feed_head SET head = head + 1 WHERE feed_id = @feed_id RETURNING feed_id, head)
INSERT INTO feed_log (feed_id, seq, kind, package_key, version_key, actor, logged, operation, packages_diff, versions_diff, bytes_diff)
SELECT h.feed_id, h.head, @kind, @package_key, @version_key, @actor, @now, @operation, @packages_diff, @versions_diff, @bytes_diff
FROM h
RETURNING seq;

-- name: InsertFirstVersion
WITH made AS (
    INSERT INTO package (feed_id, name_key) VALUES (@feed_id, @name_key)
    ON CONFLICT (feed_id, name_key) DO NOTHING
    RETURNING package_id
), p AS (
    SELECT package_id, 1 AS created FROM made
    UNION ALL
    SELECT package_id, 0 FROM package WHERE feed_id = @feed_id AND name_key = @name_key
), v AS (
    INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest,
                             published, published_by, downloads, last_used)
    SELECT p.package_id, @name, @version, @version_key, @prerelease, 1, '', 0, @manifest, @now, @published_by, 0, 0
    FROM p
    RETURNING package_id, version_id, published
)
SELECT v.package_id, v.version_id, v.published, p.created FROM v JOIN p ON p.package_id = v.package_id;

-- name: ReuseBlob
WITH reused AS (
    UPDATE blob
    SET touched = @now, sha1 = COALESCE(sha1, @sha1), md5 = COALESCE(md5, @md5), sha512 = COALESCE(sha512, @sha512)
    WHERE blob_id = (SELECT MIN(b.blob_id) FROM blob b WHERE b.sha256 = @sha256 AND b.size = @size AND b.storage_id = @storage_id AND b.marked IS NULL
        AND (@object = '' OR b.storage_key = @object))
      AND marked IS NULL
    RETURNING blob_id, storage_key
), f AS (
    INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added)
    SELECT @version_id, reused.blob_id, @file_name, @file_key, @data, @aliases, @added FROM reused
)
SELECT storage_key FROM reused;

-- name: InsertBlob
WITH b AS (
    INSERT INTO blob (sha256, sha1, md5, sha512, size, storage_id, storage_key, created, touched)
    SELECT @sha256, @sha1, @md5, @sha512, @size, @storage_id, @storage_key, @now, @now
    WHERE @now - @asked < @window
    RETURNING blob_id
)
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added) SELECT @version_id, b.blob_id, @file_name, @file_key, @data, @aliases, @added FROM b;

-- name: LogAfter
SELECT seq, kind, package_key, version_key, actor, logged, operation
FROM feed_log
WHERE feed_id = @feed_id AND seq > @after
ORDER BY seq
LIMIT @limit;

-- name: ListPackageKeys
SELECT p.name_key FROM package p
WHERE p.feed_id = @feed_id AND p.name_key > @after
ORDER BY p.name_key
LIMIT @limit;

-- name: ListPackageNames
SELECT p.name_key, v.name
FROM package p
JOIN package_version v ON v.version_id = (SELECT MAX(o.version_id) FROM package_version o WHERE o.package_id = p.package_id)
WHERE p.feed_id = @feed_id AND p.name_key > @after
ORDER BY p.name_key
LIMIT @limit;

-- name: FindPackages
SELECT p.name_key FROM package p
WHERE p.feed_id = @feed_id AND LOWER(p.name_key) LIKE @pattern ESCAPE '\'
  AND EXISTS (SELECT 1 FROM package_version v WHERE v.package_id = p.package_id AND v.listed = 1 AND v.prerelease <= @prerelease)
ORDER BY CASE WHEN LOWER(p.name_key) = @exact THEN 0 ELSE 1 END, LOWER(p.name_key), p.name_key
LIMIT @limit OFFSET @skip;

-- name: InsertVersion
INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest,
                             published, published_by, downloads, last_used)
VALUES (@package_id, @name, @version, @version_key, @prerelease, 1, '', 0, @manifest, @now, @published_by, 0, 0)
RETURNING version_id, published;

-- name: ListBlobs
SELECT blob_id, sha256, size, storage_id, storage_key FROM blob
WHERE blob_id > @after AND marked IS NULL
  AND EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = blob.blob_id)
ORDER BY blob_id
LIMIT @limit;

-- name: ListMarked
SELECT blob_id, sha256, size, storage_id, storage_key FROM blob
WHERE blob_id > @after AND marked IS NOT NULL
ORDER BY blob_id
LIMIT @limit;

-- name: ListObjects
SELECT blob_id, sha256, size, storage_id, storage_key FROM blob
WHERE storage_id = @storage_id AND storage_key > @after
ORDER BY storage_key
LIMIT @limit;

-- name: ListDeleted
SELECT version_id, package_key, version_key, name, version, deleted, deleted_by,
       COALESCE((SELECT STRING_AGG(t.tag, CHR(10)) FROM deleted_tag t WHERE t.version_id = deleted_version.version_id), '')
FROM deleted_version
WHERE feed_id = @feed_id AND version_id < @before
ORDER BY version_id DESC
LIMIT @limit;

-- name: ListOldDeleted
SELECT version_id FROM deleted_version WHERE deleted < @now - @older_than ORDER BY deleted
LIMIT @limit;

-- name: ListOldUploads
SELECT upload_key FROM upload WHERE touched < @now - @older_than ORDER BY touched
LIMIT @limit;

-- name: InsertStorage
INSERT INTO storage (name, name_key, url, probe, created)
VALUES (@name, @name_key, @url, @probe, @now)
RETURNING storage_id;

-- name: AcquireLease
INSERT INTO lease (office, holder, address, fence, term, expires)
VALUES (@office, @holder, @address, @next, @term, @now + @ttl)
ON CONFLICT (office) DO UPDATE
SET holder = @holder, address = @address, term = @term, expires = @now + @ttl,
    fence = CASE WHEN lease.fence >= @next THEN lease.fence + 1 ELSE @next END
WHERE lease.holder = @holder OR lease.expires <= @now OR (lease.fence = @over AND lease.term = @over_term)
RETURNING fence;

-- name: ClaimJob
UPDATE job
SET state = 'running', attempt = attempt + 1, worker = @worker, claim_expires = @now + @ttl, started = 0, remark = ''
WHERE job_id = (SELECT j.job_id FROM job j
                WHERE j.state = 'waiting' AND j.lane = @lane
                ORDER BY j.priority, j.run_after, j.job_id
                LIMIT 1
                FOR UPDATE SKIP LOCKED)
RETURNING job_id, kind, argument, attempt, failures, max_failures;

-- name: ListJobs
SELECT job_id, kind, argument, state, attempt, failures, max_failures, worker, done, total, remark, queued_by, cancel, created, started, finished, @now
FROM job
WHERE job_id < @before
ORDER BY job_id DESC
LIMIT @limit;

-- name: PurgeIndexFiles
DELETE FROM index_file WHERE ctid = ANY (ARRAY(
    SELECT i.ctid FROM index_file i WHERE i.ended > 0 AND i.ended <= @now - @kept LIMIT @limit));

-- name: PurgeIndex
DELETE FROM index_file WHERE ctid = ANY (ARRAY(
    SELECT i.ctid FROM index_file i WHERE i.feed_id = @feed_id AND i.kind = @kind ORDER BY i.name LIMIT @limit));

-- name: KeepWhole
WITH made AS (
    INSERT INTO blob (sha256, sha1, md5, sha512, size, storage_id, storage_key, created, touched)
    VALUES (@sha256, @sha1, @md5, @sha512, @size, @storage_id, @storage_key, @now, @now)
    ON CONFLICT (storage_id, storage_key) DO NOTHING
    RETURNING blob_id, size, storage_id
), held AS (
    INSERT INTO upload (upload_key, storage_id, size, sums, owner, created, touched)
    SELECT @name, made.storage_id, made.size, '', @owner, @now, @now FROM made
    ON CONFLICT (upload_key) DO UPDATE SET touched = EXCLUDED.touched
    RETURNING upload_key
), part AS ( -- after held, on whose row others wait
    INSERT INTO upload_part (upload_key, part_offset, size, blob_id)
    SELECT held.upload_key, 0, made.size, made.blob_id FROM made CROSS JOIN held
    ON CONFLICT (upload_key, part_offset) DO NOTHING
)
SELECT COUNT(*) FROM made;

-- name: SetTag
INSERT INTO package_tag (package_id, tag, version_id) VALUES (@package_id, @tag, @version_id)
ON CONFLICT (package_id, tag) DO UPDATE SET version_id = EXCLUDED.version_id;

-- name: RestoreTags
INSERT INTO package_tag (package_id, tag, version_id)
SELECT @package_id, t.tag, @restored FROM deleted_tag t WHERE t.version_id = @version_id ORDER BY t.tag
ON CONFLICT (package_id, tag) DO NOTHING;
