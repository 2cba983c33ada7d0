-- name: LockMigrations
SELECT 1;

-- name: CreateSchemaVersion
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied INTEGER NOT NULL, oldest INTEGER NOT NULL);

-- name: HasSchemaVersion
SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version';

-- name: InsertFeed
INSERT INTO feed (name, name_key, feed_type, description, active, created, storage_id, redirect)
VALUES (@name, @name_key, @feed_type, @description, @active, @now, @storage_id, @redirect)
RETURNING feed_id;

-- name: AppendLog
UPDATE feed_head SET head = head + 1 WHERE feed_id = @feed_id;
INSERT INTO feed_log (feed_id, seq, kind, package_key, version_key, actor, logged, operation, packages_diff, versions_diff, bytes_diff)
SELECT h.feed_id, h.head, @kind, @package_key, @version_key, @actor, @now, @operation, @packages_diff, @versions_diff, @bytes_diff
FROM feed_head h
WHERE h.feed_id = @feed_id
RETURNING seq;

-- name: InsertFirstVersion
INSERT INTO package (feed_id, name_key) VALUES (@feed_id, @name_key)
ON CONFLICT (feed_id, name_key) DO NOTHING;
INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest,
                             published, published_by, downloads, last_used)
SELECT p.package_id, @name, @version, @version_key, @prerelease, 1, '', 0, @manifest, @now, @published_by, 0, 0
FROM package p
WHERE p.feed_id = @feed_id AND p.name_key = @name_key;
SELECT v.package_id, v.version_id, v.published,
       CASE WHEN EXISTS (SELECT 1 FROM package_version o WHERE o.package_id = v.package_id AND o.version_id <> v.version_id) THEN 0 ELSE 1 END
FROM package p
JOIN package_version v ON v.package_id = p.package_id
WHERE p.feed_id = @feed_id AND p.name_key = @name_key AND v.version_key = @version_key;

-- name: ReuseBlob
UPDATE blob
SET touched = @now, sha1 = COALESCE(sha1, @sha1), md5 = COALESCE(md5, @md5), sha512 = COALESCE(sha512, @sha512)
WHERE blob_id = (SELECT MIN(b.blob_id) FROM blob b WHERE b.sha256 = @sha256 AND b.size = @size AND b.storage_id = @storage_id AND b.marked IS NULL
        AND (@object = '' OR b.storage_key = @object))
  AND marked IS NULL;
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added)
SELECT @version_id, b.blob_id, @file_name, @file_key, @data, @aliases, @added FROM blob b
WHERE b.blob_id = (SELECT MIN(o.blob_id) FROM blob o WHERE o.sha256 = @sha256 AND o.size = @size AND o.storage_id = @storage_id AND o.marked IS NULL
        AND (@object = '' OR o.storage_key = @object));
SELECT b.storage_key FROM blob b
WHERE b.blob_id = (SELECT MIN(o.blob_id) FROM blob o WHERE o.sha256 = @sha256 AND o.size = @size AND o.storage_id = @storage_id AND o.marked IS NULL
        AND (@object = '' OR o.storage_key = @object));

-- name: InsertBlob
INSERT INTO blob (sha256, sha1, md5, sha512, size, storage_id, storage_key, created, touched)
SELECT @sha256, @sha1, @md5, @sha512, @size, @storage_id, @storage_key, @now, @now
WHERE @now - @asked < @window;
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added)
SELECT @version_id, b.blob_id, @file_name, @file_key, @data, @aliases, @added FROM blob b WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key;

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
       COALESCE((SELECT GROUP_CONCAT(t.tag, CHAR(10)) FROM deleted_tag t WHERE t.version_id = deleted_version.version_id), '')
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
-- The id is none that a removed storage had, which a server may have open still.
INSERT INTO storage (storage_id, name, name_key, url, probe, created)
VALUES (MAX(@now, (SELECT MAX(storage_id) + 1 FROM storage)), @name, @name_key, @url, @probe, @now)
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
                LIMIT 1)
RETURNING job_id, kind, argument, attempt, failures, max_failures;

-- name: ListJobs
SELECT job_id, kind, argument, state, attempt, failures, max_failures, worker, done, total, remark, queued_by, cancel, created, started, finished, @now
FROM job
WHERE job_id < @before
ORDER BY job_id DESC
LIMIT @limit;

-- name: PurgeIndexFiles
DELETE FROM index_file WHERE rowid IN (
    SELECT i.rowid FROM index_file i WHERE i.ended > 0 AND i.ended <= @now - @kept LIMIT @limit);

-- name: PurgeIndex
DELETE FROM index_file WHERE rowid IN (
    SELECT i.rowid FROM index_file i WHERE i.feed_id = @feed_id AND i.kind = @kind ORDER BY i.name LIMIT @limit);

-- name: KeepWhole
INSERT INTO blob (sha256, sha1, md5, sha512, size, storage_id, storage_key, created, touched)
VALUES (@sha256, @sha1, @md5, @sha512, @size, @storage_id, @storage_key, @now, @now)
ON CONFLICT (storage_id, storage_key) DO NOTHING;
INSERT INTO upload (upload_key, storage_id, size, sums, owner, created, touched)
SELECT @name, b.storage_id, b.size, '', @owner, @now, @now FROM blob b
WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key AND b.sha256 = @sha256 AND b.marked IS NULL
ON CONFLICT (upload_key) DO UPDATE SET touched = excluded.touched;
INSERT INTO upload_part (upload_key, part_offset, size, blob_id)
SELECT @name, 0, b.size, b.blob_id FROM blob b
WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key AND b.sha256 = @sha256 AND b.marked IS NULL
ON CONFLICT (upload_key, part_offset) DO NOTHING;
SELECT COUNT(*) FROM blob b
WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key AND b.sha256 = @sha256 AND b.marked IS NULL;

-- name: SetTag
INSERT INTO package_tag (package_id, tag, version_id) VALUES (@package_id, @tag, @version_id)
ON CONFLICT (package_id, tag) DO UPDATE SET version_id = excluded.version_id;

-- name: RestoreTags
INSERT INTO package_tag (package_id, tag, version_id)
SELECT @package_id, t.tag, @restored FROM deleted_tag t WHERE t.version_id = @version_id ORDER BY t.tag
ON CONFLICT (package_id, tag) DO NOTHING;
