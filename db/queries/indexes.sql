-- name: FindIndexHead
SELECT generation, build, state FROM index_head WHERE feed_id = @feed_id AND kind = @kind;

-- name: InsertIndexHead
INSERT INTO index_head (feed_id, kind, generation, build, state) VALUES (@feed_id, @kind, @next, @build, @state);

-- name: MoveIndexHead
UPDATE index_head SET generation = @next, build = @build, state = @state
WHERE feed_id = @feed_id AND kind = @kind AND generation = @generation;

-- name: InsertIndexFile
INSERT INTO index_file (feed_id, kind, name, since, until, ended, blob_id, start, size, sha256)
SELECT @feed_id, @kind, @name, @next, @forever, 0, b.blob_id, @start, @size, @sha256
FROM blob b WHERE b.storage_id = @storage_id AND b.storage_key = @storage_key;

-- name: EndIndexFile
UPDATE index_file SET until = @next, ended = @now
WHERE feed_id = @feed_id AND kind = @kind AND name = @name AND until = @forever;

-- name: EndIndex
UPDATE index_file SET until = @next, ended = @now
WHERE feed_id = @feed_id AND kind = @kind AND until = @forever;

-- name: FindIndexFile
SELECT i.name, b.blob_id, b.sha256, b.size, b.storage_id, b.storage_key, i.start, i.size, i.sha256
FROM index_file i
JOIN blob b ON b.blob_id = i.blob_id
WHERE i.feed_id = @feed_id AND i.kind = @kind AND i.name = @name AND i.since <= @generation AND i.until > @generation;

-- name: ListDeletedIndexes
SELECT h.feed_id, h.kind FROM index_head h
WHERE NOT EXISTS (SELECT 1 FROM feed_head d WHERE d.feed_id = h.feed_id);

-- name: DeleteIndexHead
DELETE FROM index_head WHERE feed_id = @feed_id AND kind = @kind;
