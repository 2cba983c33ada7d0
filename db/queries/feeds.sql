-- name: ListFeeds
SELECT f.feed_id, f.name, f.feed_type, f.description, f.active, f.created, f.storage_id, f.redirect
FROM feed f
JOIN feed_head h ON h.feed_id = f.feed_id
WHERE f.feed_id > 0
ORDER BY f.name_key;

-- name: FindFeed
SELECT f.feed_id, f.name, f.feed_type, f.description, f.active, f.created, f.storage_id, f.redirect
FROM feed f
JOIN feed_head h ON h.feed_id = f.feed_id
WHERE f.name_key = @name_key AND f.feed_id > 0;

-- name: LockFeed
UPDATE feed SET active = active WHERE name_key = @name_key AND feed_id > 0;

-- name: LockFeedStorage
UPDATE feed SET active = active WHERE feed_id = @feed_id AND storage_id = @storage_id;

-- name: UpdateFeed
UPDATE feed
SET name = @name, name_key = @name_key, description = @description, active = @active, storage_id = @storage_id, redirect = @redirect
WHERE feed_id = @feed_id;

-- name: DeleteFeedHead
DELETE FROM feed_head WHERE feed_id = @feed_id;

-- name: InsertFeedHead
INSERT INTO feed_head (feed_id, head) VALUES (@feed_id, 0);

-- name: InsertFeedStats
INSERT INTO feed_stats (feed_id, packages, versions, bytes) VALUES (@feed_id, 0, 0, 0);

-- name: ListFeedStats
SELECT feed_id, packages, versions, bytes FROM feed_stats WHERE feed_id > 0 ORDER BY feed_id;

-- name: AddFeedStats
UPDATE feed_stats
SET packages = packages + @packages, versions = versions + @versions, bytes = bytes + @bytes
WHERE feed_id = @feed_id;

-- name: SetFeedStats
UPDATE feed_stats SET packages = @packages, versions = @versions, bytes = @bytes WHERE feed_id = @feed_id;
