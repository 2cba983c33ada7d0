-- name: CountBlobs
SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blob
WHERE marked IS NULL AND EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = blob.blob_id);

-- name: FindBlob
SELECT blob_id, sha256, size, storage_key FROM blob
WHERE blob_id = (SELECT MIN(b.blob_id) FROM blob b WHERE b.sha256 = @sha256 AND b.size = @size AND b.marked IS NULL);

-- name: ReplaceObject
UPDATE blob SET storage_key = @storage_key WHERE blob_id = @blob_id AND storage_key = @old_key AND marked IS NULL;

-- name: BlobVersions
SELECT fd.name, v.name, v.version
FROM package_file f
JOIN package_version v ON v.version_id = f.version_id
JOIN package p ON p.package_id = v.package_id
JOIN feed fd ON fd.feed_id = p.feed_id
WHERE f.blob_id = @blob_id
ORDER BY fd.name, v.name, v.version_id;
