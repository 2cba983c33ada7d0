-- The second half are the tags, a row each, in the same view of the database: joined to
-- the first half, they would multiply its rows. A file's row has the manifest if the
-- version has no older file; counting from MIN(file_id) would read all its files each time.
-- name: LoadPackage
SELECT p.package_id, p.name_key, v.version_id AS version_id, v.name, v.version, v.version_key, v.prerelease, v.listed, v.deprecated, v.blocked,
       CASE WHEN EXISTS (SELECT 1 FROM package_file o WHERE o.version_id = v.version_id AND o.file_id < f.file_id) THEN '' ELSE v.manifest END,
       v.published, v.published_by, v.downloads,
       f.name, b.size, b.sha256, b.sha1, b.md5, b.sha512, b.storage_id, b.storage_key, f.file_id AS file_id, f.data, f.added, '' AS tag
FROM package p
JOIN package_version v ON v.package_id = p.package_id
JOIN package_file f ON f.version_id = v.version_id
JOIN blob b ON b.blob_id = f.blob_id
WHERE p.feed_id = @feed_id AND p.name_key = @name_key
UNION ALL
SELECT p.package_id, p.name_key, v.version_id, '', '', v.version_key, 0, 0, '', 0, '', 0, '', 0, '', 0, '', NULL, NULL, NULL, 0, '', 0, '', 0, t.tag
FROM package p
JOIN package_tag t ON t.package_id = p.package_id
JOIN package_version v ON v.version_id = t.version_id
WHERE p.feed_id = @feed_id AND p.name_key = @name_key
ORDER BY version_id, file_id;

-- name: FindPackage
SELECT p.package_id, p.name_key FROM package p WHERE p.feed_id = @feed_id AND p.name_key = @name_key;

-- name: NextPackage
SELECT COALESCE(MIN(p.name_key), '') FROM package p WHERE p.feed_id = @feed_id AND p.name_key >= @from_key;

-- name: FindTag
SELECT tag FROM package_tag WHERE package_id = @package_id AND tag = @tag;

-- name: DeleteTag
DELETE FROM package_tag WHERE package_id = @package_id AND tag = @tag;

-- name: FindUpload
SELECT COALESCE((SELECT p.package_id FROM package p WHERE p.feed_id = @feed_id AND p.name_key = @name_key), 0),
       COALESCE(b.blob_id, 0), COALESCE(b.sha256, ''), COALESCE(b.size, 0), COALESCE(b.storage_id, 0), COALESCE(b.storage_key, ''), @now
FROM (SELECT 1 AS one) o
LEFT JOIN blob b ON b.blob_id = (SELECT MIN(c.blob_id) FROM blob c WHERE c.sha256 = @sha256 AND c.size = @size AND c.storage_id = @storage_id AND c.marked IS NULL);

-- name: FindVersion
SELECT v.version_id, p.name_key, v.version_key
FROM package p
JOIN package_version v ON v.package_id = p.package_id
WHERE p.feed_id = @feed_id AND p.name_key = @name_key AND v.version_key = @version_key;

-- name: LockVersion
UPDATE package_version SET listed = listed WHERE version_id = @version_id;

-- name: HoldVersion
UPDATE package_version SET listed = listed
WHERE package_id = (SELECT p.package_id FROM package p WHERE p.feed_id = @feed_id AND p.name_key = @name_key) AND version_key = @version_key;

-- name: ReadVersion
SELECT package_id, listed, deprecated, blocked FROM package_version WHERE version_id = @version_id;

-- name: ReadManifest
SELECT manifest, @now FROM package_version WHERE version_id = @version_id;

-- name: CountFile
SELECT COUNT(*), @now FROM package_file WHERE version_id = @version_id AND name_key = @file_key;

-- name: CountFiles
SELECT COUNT(*) FROM package_file WHERE version_id = @version_id;

-- name: SetManifest
UPDATE package_version SET manifest = @manifest WHERE version_id = @version_id;

-- name: FindFile
SELECT f.name, b.size, b.sha256, b.storage_id, b.storage_key, f.data, f.added
FROM package_file f
JOIN blob b ON b.blob_id = f.blob_id
WHERE f.version_id = @version_id AND f.name_key = @file_key;

-- name: TouchFileBlob
UPDATE blob SET touched = @now
WHERE blob_id = (SELECT f.blob_id FROM package_file f WHERE f.version_id = @version_id AND f.name_key = @file_key);

-- name: DeleteFile
DELETE FROM package_file WHERE version_id = @version_id AND name_key = @file_key;

-- name: InsertAlias
INSERT INTO file_alias (feed_id, alias, file_id)
SELECT p.feed_id, @alias, f.file_id
FROM package_file f
JOIN package_version v ON v.version_id = f.version_id
JOIN package p ON p.package_id = v.package_id
WHERE f.version_id = @version_id AND f.name_key = @file_key;

-- name: FindAlias
SELECT p.name_key, v.version_key, f.name
FROM package_file f
JOIN package_version v ON v.version_id = f.version_id
JOIN package p ON p.package_id = v.package_id
WHERE f.file_id = (
  SELECT COALESCE(MAX(CASE WHEN av.blocked = 0 THEN a.file_id END), MAX(a.file_id))
  FROM file_alias a
  JOIN package_file af ON af.file_id = a.file_id
  JOIN package_version av ON av.version_id = af.version_id
  WHERE a.feed_id = @feed_id AND a.alias = @alias);

-- name: SetVersionStatus
UPDATE package_version
SET listed = @listed, deprecated = @deprecated, blocked = @blocked
WHERE version_id = @version_id;

-- name: VersionBytes
SELECT COALESCE(SUM(b.size), 0)
FROM package_file f
JOIN blob b ON b.blob_id = f.blob_id
WHERE f.version_id = @version_id;

-- name: KeepDeletedVersion
INSERT INTO deleted_version (version_id, feed_id, package_key, name, version, version_key, prerelease, listed, deprecated, blocked,
                             manifest, published, published_by, downloads, deleted, deleted_by)
SELECT v.version_id, p.feed_id, p.name_key, v.name, v.version, v.version_key, v.prerelease, v.listed, v.deprecated, v.blocked,
       v.manifest, v.published, v.published_by, v.downloads, @now, @deleted_by
FROM package_version v
JOIN package p ON p.package_id = v.package_id
WHERE v.version_id = @version_id;

-- name: KeepDeletedFiles
INSERT INTO deleted_file (version_id, name, size, sha256, storage_id, data, aliases, added)
SELECT f.version_id, f.name, b.size, b.sha256, b.storage_id, f.data, f.aliases, f.added
FROM package_file f
JOIN blob b ON b.blob_id = f.blob_id
WHERE f.version_id = @version_id
ORDER BY f.file_id;

-- name: KeepDeletedTags
INSERT INTO deleted_tag (version_id, tag) SELECT t.version_id, t.tag FROM package_tag t WHERE t.version_id = @version_id;

-- name: TouchVersionBlobs
UPDATE blob SET touched = @now WHERE blob_id IN (SELECT f.blob_id FROM package_file f WHERE f.version_id = @version_id);

-- name: DeleteVersionFiles
DELETE FROM package_file WHERE version_id = @version_id;

-- name: DeleteVersion
DELETE FROM package_version WHERE version_id = @version_id;

-- name: LockPackage
UPDATE package SET name_key = name_key WHERE package_id = @package_id;

-- name: DeleteEmptyPackage
DELETE FROM package
WHERE package_id = @package_id
  AND NOT EXISTS (SELECT 1 FROM package_version v WHERE v.package_id = package.package_id);

-- name: FindDeleted
SELECT package_key, version_key, name, version, prerelease, listed, deprecated, blocked, manifest, published, published_by, downloads
FROM deleted_version
WHERE feed_id = @feed_id AND version_id = @version_id;

-- name: FindDeletedFiles
SELECT name, size, sha256, storage_id, data, aliases, added FROM deleted_file WHERE version_id = @version_id ORDER BY file_id;

-- name: FindDeletedFile
SELECT f.name, f.size, f.sha256, f.storage_id FROM deleted_file f
WHERE f.file_id = (SELECT MAX(o.file_id) FROM deleted_version v JOIN deleted_file o ON o.version_id = v.version_id
                   WHERE v.feed_id = @feed_id AND v.package_key = @package_key AND v.blocked = 0 AND o.name = @name);

-- name: ForgetDeletedFiles
DELETE FROM deleted_file WHERE version_id = @version_id;

-- name: ForgetDeleted
DELETE FROM deleted_version WHERE version_id = @version_id;

-- name: SetRestored
UPDATE package_version
SET listed = @listed, deprecated = @deprecated, blocked = @blocked, published = @published, downloads = @downloads, last_used = @now
WHERE version_id = @version_id;

-- name: CountPackages
SELECT COUNT(*) FROM package p
WHERE p.feed_id = @feed_id AND LOWER(p.name_key) LIKE @pattern ESCAPE '\'
  AND EXISTS (SELECT 1 FROM package_version v WHERE v.package_id = p.package_id AND v.listed = 1 AND v.prerelease <= @prerelease);
