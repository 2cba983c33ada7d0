-- name: LockMigrations
DECLARE @Result INT;
EXEC @Result = sp_getapplock @Resource = 'proget-ha-migrations', @LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = 60000;
IF @Result < 0
    THROW 50408, 'Another server is changing the schema of the database, and has not ended within a minute.', 1;

-- name: CreateSchemaVersion
IF OBJECT_ID('schema_version') IS NULL
    CREATE TABLE schema_version (version BIGINT NOT NULL PRIMARY KEY, name NVARCHAR(200) NOT NULL, applied BIGINT NOT NULL, oldest BIGINT NOT NULL);

-- name: HasSchemaVersion
SELECT CASE WHEN OBJECT_ID('schema_version') IS NULL THEN 0 ELSE 1 END;

-- name: InsertFeed
INSERT INTO feed (name, name_key, feed_type, description, active, created, storage_id, redirect)
OUTPUT inserted.feed_id
VALUES (@name, @name_key, @feed_type, @description, @active, @now, @storage_id, @redirect);

-- name: AppendLog
SET NOCOUNT ON;
UPDATE feed_head SET head = head + 1 WHERE feed_id = @feed_id;
INSERT INTO feed_log (feed_id, seq, kind, package_key, version_key, actor, logged, operation, packages_diff, versions_diff, bytes_diff)
OUTPUT inserted.seq
SELECT h.feed_id, h.head, @kind, @package_key, @version_key, @actor, @now, @operation, @packages_diff, @versions_diff, @bytes_diff
FROM feed_head h
WHERE h.feed_id = @feed_id;

-- name: InsertFirstVersion
SET NOCOUNT ON;
INSERT INTO package (feed_id, name_key)
SELECT @feed_id, @name_key
WHERE NOT EXISTS (SELECT 1 FROM package p WITH (UPDLOCK, HOLDLOCK) WHERE p.feed_id = @feed_id AND p.name_key = @name_key);
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
SET NOCOUNT ON;
UPDATE blob
SET touched = @now, sha1 = COALESCE(sha1, @sha1), md5 = COALESCE(md5, @md5), sha512 = COALESCE(sha512, @sha512)
WHERE blob_id = (SELECT MIN(b.blob_id) FROM blob b WHERE b.sha256 = @sha256 AND b.size = @size AND b.storage_id = @storage_id AND b.marked IS NULL
        AND (@object = '' OR b.storage_key = @object))
  AND marked IS NULL;
IF @@ROWCOUNT > 0
BEGIN
    INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added)
    SELECT @version_id, b.blob_id, @file_name, @file_key, @data, @aliases, @added FROM blob b
    WHERE b.blob_id = (SELECT MIN(o.blob_id) FROM blob o WHERE o.sha256 = @sha256 AND o.size = @size AND o.storage_id = @storage_id AND o.marked IS NULL
        AND (@object = '' OR o.storage_key = @object));
    SELECT b.storage_key FROM blob b
    WHERE b.blob_id = (SELECT MIN(o.blob_id) FROM blob o WHERE o.sha256 = @sha256 AND o.size = @size AND o.storage_id = @storage_id AND o.marked IS NULL
        AND (@object = '' OR o.storage_key = @object));
END

-- name: InsertBlob
INSERT INTO blob (sha256, sha1, md5, sha512, size, storage_id, storage_key, created, touched)
SELECT @sha256, @sha1, @md5, @sha512, @size, @storage_id, @storage_key, @now, @now
WHERE @now - @asked < @window;
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added)
SELECT @version_id, b.blob_id, @file_name, @file_key, @data, @aliases, @added FROM blob b WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key;

-- name: LogAfter
SELECT TOP (@limit) seq, kind, package_key, version_key, actor, logged, operation
FROM feed_log
WHERE feed_id = @feed_id AND seq > @after
ORDER BY seq;

-- name: ListPackageKeys
SELECT TOP (@limit) p.name_key FROM package p
WHERE p.feed_id = @feed_id AND p.name_key > @after
ORDER BY p.name_key;

-- name: ListPackageNames
SELECT TOP (@limit) p.name_key, v.name
FROM package p
JOIN package_version v ON v.version_id = (SELECT MAX(o.version_id) FROM package_version o WHERE o.package_id = p.package_id)
WHERE p.feed_id = @feed_id AND p.name_key > @after
ORDER BY p.name_key;

-- name: FindPackages
SELECT p.name_key FROM package p
WHERE p.feed_id = @feed_id AND LOWER(p.name_key) LIKE @pattern ESCAPE '\'
  AND EXISTS (SELECT 1 FROM package_version v WHERE v.package_id = p.package_id AND v.listed = 1 AND v.prerelease <= @prerelease)
ORDER BY CASE WHEN LOWER(p.name_key) = @exact THEN 0 ELSE 1 END, LOWER(p.name_key), p.name_key
OFFSET @skip ROWS FETCH NEXT @limit ROWS ONLY;

-- name: InsertVersion
INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest,
                             published, published_by, downloads, last_used)
OUTPUT inserted.version_id, inserted.published
VALUES (@package_id, @name, @version, @version_key, @prerelease, 1, '', 0, @manifest, @now, @published_by, 0, 0);

-- name: ListBlobs
SELECT TOP (@limit) blob_id, sha256, size, storage_id, storage_key FROM blob
WHERE blob_id > @after AND marked IS NULL
  AND EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = blob.blob_id)
ORDER BY blob_id;

-- name: ListMarked
SELECT TOP (@limit) blob_id, sha256, size, storage_id, storage_key FROM blob
WHERE blob_id > @after AND marked IS NOT NULL
ORDER BY blob_id;

-- name: ListObjects
SELECT TOP (@limit) blob_id, sha256, size, storage_id, storage_key FROM blob
WHERE storage_id = @storage_id AND storage_key > @after
ORDER BY storage_key;

-- name: ListDeleted
SELECT TOP (@limit) version_id, package_key, version_key, name, version, deleted, deleted_by,
       COALESCE((SELECT STRING_AGG(CAST(t.tag AS NVARCHAR(MAX)), CHAR(10)) FROM deleted_tag t WHERE t.version_id = deleted_version.version_id), '')
FROM deleted_version
WHERE feed_id = @feed_id AND version_id < @before
ORDER BY version_id DESC;

-- name: ListOldDeleted
SELECT TOP (@limit) version_id FROM deleted_version WHERE deleted < @now - @older_than ORDER BY deleted;

-- name: ListOldUploads
SELECT TOP (@limit) upload_key FROM upload WHERE touched < @now - @older_than ORDER BY touched;

-- name: InsertStorage
INSERT INTO storage (name, name_key, url, probe, created)
OUTPUT inserted.storage_id
VALUES (@name, @name_key, @url, @probe, @now);

-- name: AcquireLease
IF EXISTS (SELECT 1 FROM lease WHERE office = @office)
    UPDATE lease
    SET holder = @holder, address = @address, term = @term, expires = @now + @ttl,
        fence = CASE WHEN fence >= @next THEN fence + 1 ELSE @next END
    OUTPUT inserted.fence
    WHERE office = @office AND (holder = @holder OR expires <= @now OR (fence = @over AND term = @over_term));
ELSE
    INSERT INTO lease (office, holder, address, fence, term, expires)
    OUTPUT inserted.fence
    VALUES (@office, @holder, @address, @next, @term, @now + @ttl);

-- name: ClaimJob
UPDATE job
SET state = 'running', attempt = attempt + 1, worker = @worker, claim_expires = @now + @ttl, started = 0, remark = ''
OUTPUT inserted.job_id, inserted.kind, inserted.argument, inserted.attempt, inserted.failures, inserted.max_failures
WHERE state = 'waiting'
  AND job_id = (SELECT TOP (1) j.job_id FROM job j WITH (UPDLOCK, ROWLOCK, READPAST)
                WHERE j.state = 'waiting' AND j.lane = @lane
                ORDER BY j.priority, j.run_after, j.job_id);

-- name: ListJobs
SELECT TOP (@limit) job_id, kind, argument, state, attempt, failures, max_failures, worker, done, total, remark, queued_by, cancel, created, started, finished, @now
FROM job
WHERE job_id < @before
ORDER BY job_id DESC;

-- name: PurgeIndexFiles
DELETE TOP (@limit) FROM index_file WHERE ended > 0 AND ended <= @now - @kept;

-- name: PurgeIndex
DELETE TOP (@limit) FROM index_file WHERE feed_id = @feed_id AND kind = @kind;

-- name: KeepWhole
SET NOCOUNT ON;
INSERT INTO blob (sha256, sha1, md5, sha512, size, storage_id, storage_key, created, touched)
SELECT @sha256, @sha1, @md5, @sha512, @size, @storage_id, @storage_key, @now, @now
WHERE NOT EXISTS (SELECT 1 FROM blob WITH (UPDLOCK, HOLDLOCK) WHERE storage_id = @storage_id AND storage_key = @storage_key);
IF @@ROWCOUNT > 0
BEGIN
    UPDATE upload SET touched = @now WHERE upload_key = @name;
    IF @@ROWCOUNT = 0
    BEGIN
        INSERT INTO upload (upload_key, storage_id, size, sums, owner, created, touched)
        VALUES (@name, @storage_id, @size, '', @owner, @now, @now);
        INSERT INTO upload_part (upload_key, part_offset, size, blob_id)
        SELECT @name, 0, b.size, b.blob_id FROM blob b WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key;
    END
END
SELECT COUNT(*) FROM blob b
WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key AND b.sha256 = @sha256 AND b.marked IS NULL;

-- name: SetTag
UPDATE package SET name_key = name_key WHERE package_id = @package_id;
UPDATE package_tag SET version_id = @version_id WHERE package_id = @package_id AND tag = @tag;
IF @@ROWCOUNT = 0
    INSERT INTO package_tag (package_id, tag, version_id) VALUES (@package_id, @tag, @version_id);

-- name: RestoreTags
UPDATE package SET name_key = name_key WHERE package_id = @package_id;
INSERT INTO package_tag (package_id, tag, version_id)
SELECT @package_id, t.tag, @restored FROM deleted_tag t
WHERE t.version_id = @version_id AND NOT EXISTS (SELECT 1 FROM package_tag o WHERE o.package_id = @package_id AND o.tag = t.tag);
