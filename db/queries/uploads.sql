-- name: InsertUpload
INSERT INTO upload (upload_key, storage_id, size, sums, owner, created, touched)
VALUES (@upload_key, @storage_id, @size, @sums, @owner, @now, @now);

-- name: FindPartial
SELECT storage_id, size, sums, owner, touched FROM upload WHERE upload_key = @upload_key;

-- name: AdvanceUpload
UPDATE upload SET size = @size, sums = @sums, touched = @now WHERE upload_key = @upload_key AND size = @part_offset AND sums NOT LIKE '=%';

-- name: EndUpload
UPDATE upload SET size = @size, sums = @sums WHERE upload_key = @upload_key;

-- name: LockUpload
UPDATE upload SET touched = @now WHERE upload_key = @upload_key;

-- name: LockOldUpload
UPDATE upload SET size = size WHERE upload_key = @upload_key AND touched < @now - @older_than;

-- name: CountOverlaps
SELECT COUNT(*), COALESCE(SUM(CASE WHEN part_offset = @part_offset AND part_offset + size = @upto THEN 1 ELSE 0 END), 0) FROM upload_part
WHERE upload_key = @upload_key AND part_offset < @upto AND part_offset + size > @part_offset;

-- name: HasPart
SELECT COUNT(*) FROM upload_part p
JOIN blob b ON b.blob_id = p.blob_id
WHERE p.upload_key = @upload_key AND b.storage_id = @storage_id AND b.storage_key = @storage_key;

-- name: InsertPart
INSERT INTO upload_part (upload_key, part_offset, size, blob_id)
SELECT @upload_key, @part_offset, b.size, b.blob_id FROM blob b WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key
AND (SELECT COUNT(*) FROM upload_part p WHERE p.upload_key = @upload_key) < @max_parts;

-- name: ListParts
SELECT p.part_offset, b.blob_id, b.sha256, b.size, b.storage_id, b.storage_key
FROM upload_part p
JOIN blob b ON b.blob_id = p.blob_id
WHERE p.upload_key = @upload_key
ORDER BY p.part_offset;

-- name: FindHeld
SELECT b.blob_id, b.sha256, b.size, b.storage_id, b.storage_key
FROM upload_part p
JOIN upload u ON u.upload_key = p.upload_key AND u.size = p.size
JOIN blob b ON b.blob_id = p.blob_id
WHERE p.upload_key = @upload_key AND p.part_offset = 0;

-- name: DeleteParts
DELETE FROM upload_part WHERE upload_key = @upload_key;

-- name: DeleteUpload
DELETE FROM upload WHERE upload_key = @upload_key;

-- name: TouchParts
UPDATE blob SET touched = @now WHERE blob_id IN (SELECT p.blob_id FROM upload_part p WHERE p.upload_key = @upload_key);

-- name: NameBlob
UPDATE blob SET sha256 = @sha256, sha1 = @sha1, md5 = @md5, sha512 = @sha512, touched = @now
WHERE storage_id = @storage_id AND storage_key = @storage_key AND marked IS NULL;

-- name: HoldBlob
INSERT INTO upload_part (upload_key, part_offset, size, blob_id)
SELECT @upload_key, 0, b.size, b.blob_id FROM blob b
WHERE b.blob_id = (SELECT MIN(c.blob_id) FROM blob c WHERE c.sha256 = @sha256 AND c.size = @size AND c.storage_id = @storage_id AND c.marked IS NULL);
