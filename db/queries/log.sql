-- name: Heads
SELECT feed_id, head FROM feed_head;

-- name: FindOperation
SELECT seq FROM feed_log WHERE operation = @operation;

-- name: FollowerPositions
SELECT feed_id, seq FROM follower WHERE name = @name;

-- name: MoveFollower
UPDATE follower SET seq = @seq WHERE name = @name AND feed_id = @feed_id AND seq = @from_seq;

-- name: InsertFollower
INSERT INTO follower (name, feed_id, seq) VALUES (@name, @feed_id, @seq);

-- name: SumLog
SELECT COALESCE(SUM(packages_diff), 0), COALESCE(SUM(versions_diff), 0), COALESCE(SUM(bytes_diff), 0)
FROM feed_log
WHERE feed_id = @feed_id AND seq > @after AND seq <= @upto;
