-- name: CountBlobs
SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blob
WHERE marked IS NULL AND EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = blob.blob_id);

-- name: FindBlob
SELECT blob_id, sha256, size, storage_id, storage_key FROM blob
WHERE blob_id = (SELECT MIN(b.blob_id) FROM blob b WHERE b.sha256 = @sha256 AND b.size = @size AND b.storage_id = @storage_id AND b.marked IS NULL);

-- name: ReplaceObject
UPDATE blob SET storage_key = @storage_key WHERE blob_id = @blob_id AND storage_key IN (@old_key, @storage_key) AND marked IS NULL;

-- name: BlobVersions
SELECT fd.name, v.name, v.version
FROM package_file f
JOIN package_version v ON v.version_id = f.version_id
JOIN package p ON p.package_id = v.package_id
JOIN feed fd ON fd.feed_id = p.feed_id
WHERE f.blob_id = @blob_id
ORDER BY fd.name, v.name, v.version_id;

-- name: LastBlob
SELECT COALESCE(MAX(blob_id), 0) FROM blob;

-- name: MarkBlobs
UPDATE blob SET marked = @now
WHERE blob_id > @after AND blob_id <= @upto AND marked IS NULL AND touched <= @now - @grace
  AND touched = (SELECT b.touched FROM blob b WHERE b.blob_id = blob.blob_id)
  AND NOT EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = blob.blob_id)
  AND NOT EXISTS (SELECT 1 FROM upload_part p WHERE p.blob_id = blob.blob_id)
  AND NOT EXISTS (SELECT 1 FROM index_file i WHERE i.blob_id = blob.blob_id);

-- name: SumGarbage
SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blob
WHERE blob_id > @after AND blob_id <= @upto AND (marked IS NOT NULL OR touched <= @now - @grace
  AND NOT EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = blob.blob_id)
  AND NOT EXISTS (SELECT 1 FROM upload_part p WHERE p.blob_id = blob.blob_id)
  AND NOT EXISTS (SELECT 1 FROM index_file i WHERE i.blob_id = blob.blob_id));

-- name: CondemnObject
INSERT INTO blob (sha256, size, storage_id, storage_key, created, touched, marked)
VALUES ('', @size, @storage_id, @storage_key, @now, @now, @now);

-- name: DeleteBlob
DELETE FROM blob WHERE blob_id = @blob_id AND marked IS NOT NULL;

-- name: ListStorages
SELECT storage_id, name, url, probe, created FROM storage ORDER BY storage_id;

-- name: StorageUse
SELECT (SELECT COUNT(*) FROM feed f JOIN feed_head h ON h.feed_id = f.feed_id WHERE f.storage_id = @storage_id),
       (SELECT COUNT(*) FROM blob b WHERE b.storage_id = @storage_id
          AND (EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = b.blob_id) OR EXISTS (SELECT 1 FROM index_file i WHERE i.blob_id = b.blob_id))),
       (SELECT COUNT(*) FROM upload u WHERE u.storage_id = @storage_id);

-- name: DeleteUnusedBlobs
DELETE FROM blob
WHERE storage_id = @storage_id AND storage_key > @after AND storage_key <= @upto
  AND NOT EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = blob.blob_id)
  AND NOT EXISTS (SELECT 1 FROM upload_part p WHERE p.blob_id = blob.blob_id)
  AND NOT EXISTS (SELECT 1 FROM index_file i WHERE i.blob_id = blob.blob_id);

-- name: MoveDeletedFeeds
UPDATE feed SET storage_id = 0
WHERE storage_id = @storage_id AND NOT EXISTS (SELECT 1 FROM feed_head h WHERE h.feed_id = feed.feed_id);

-- name: DeleteStorage
DELETE FROM storage WHERE storage_id = @storage_id AND storage_id > 0;

-- name: BlobCopies
SELECT blob_id, sha256, size, storage_id, storage_key FROM blob
WHERE sha256 = @sha256 AND size = @size AND blob_id <> @blob_id
ORDER BY blob_id;

-- name: AdoptObject
INSERT INTO blob (sha256, size, storage_id, storage_key, created, touched)
VALUES (@sha256, @size, @storage_id, @storage_key, @now, @now);

-- name: CountObject
SELECT COUNT(*) FROM blob WHERE storage_id = @storage_id AND storage_key = @storage_key;

-- name: CountKept
SELECT COUNT(*) FROM blob WHERE storage_id = @storage_id AND storage_key = @storage_key AND sha256 = @sha256 AND marked IS NULL;

-- name: LastFile
SELECT COALESCE(MAX(file_id), 0) FROM package_file;

-- name: ListMisplaced
SELECT f.file_id, fd.feed_id, fd.storage_id, p.name_key, v.version_key, b.blob_id, b.sha256, b.size, b.storage_id, b.storage_key
FROM package_file f
JOIN blob b ON b.blob_id = f.blob_id
JOIN package_version v ON v.version_id = f.version_id
JOIN package p ON p.package_id = v.package_id
JOIN feed fd ON fd.feed_id = p.feed_id
WHERE f.file_id > @after AND f.file_id <= @upto AND b.storage_id <> fd.storage_id
ORDER BY f.file_id;

-- name: TouchBlob
UPDATE blob SET touched = @now WHERE blob_id = @blob_id;

-- name: TouchCopy
UPDATE blob SET touched = @now
WHERE blob_id = (SELECT MIN(b.blob_id) FROM blob b WHERE b.sha256 = @sha256 AND b.size = @size AND b.storage_id = @storage_id AND b.marked IS NULL)
  AND marked IS NULL;

-- name: InsertCopy
INSERT INTO blob (sha256, sha1, md5, sha512, size, storage_id, storage_key, created, touched)
SELECT sha256, sha1, md5, sha512, size, @storage_id, @storage_key, @now, @now FROM blob WHERE blob_id = @blob_id;

-- name: CopyFileBlob
INSERT INTO blob (sha256, sha1, md5, sha512, size, storage_id, storage_key, created, touched)
SELECT b.sha256, b.sha1, b.md5, b.sha512, b.size, @storage_id, @storage_key, @now, @now
FROM package_file f
JOIN blob b ON b.blob_id = f.blob_id
WHERE f.version_id = @version_id AND f.name_key = @file_key;

-- name: TouchObject
UPDATE blob SET touched = @now WHERE storage_id = @storage_id AND storage_key = @storage_key AND marked IS NULL;

-- name: PointFile
UPDATE package_file
SET blob_id = (SELECT b.blob_id FROM blob b WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key)
WHERE version_id = @version_id AND name_key = @file_key;

-- name: MoveFile
UPDATE package_file
SET blob_id = (SELECT MIN(b.blob_id) FROM blob b WHERE b.sha256 = @sha256 AND b.size = @size AND b.storage_id = @storage_id AND b.marked IS NULL)
WHERE file_id = @file_id AND blob_id = @blob_id;
