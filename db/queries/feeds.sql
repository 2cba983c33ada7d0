-- name: ListFeeds
SELECT f.feed_id, f.name, f.feed_type, f.description, f.active, f.created
FROM feed f
WHERE f.feed_id > 0
ORDER BY f.name_key;

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
