-- name: Heads
SELECT feed_id, head FROM feed_head;

-- name: NewestEntries
SELECT h.feed_id, h.head, COALESCE(l.operation, '')
FROM feed_head h
LEFT JOIN feed_log l ON l.feed_id = h.feed_id AND l.seq = h.head;

-- name: FindOperation
SELECT seq FROM feed_log WHERE operation = @operation;

-- name: CountPackageEntries
SELECT COUNT(*) FROM feed_log WHERE feed_id = @feed_id AND seq > @after AND seq < @before AND package_key = @package_key;

-- name: FollowerPositions
SELECT feed_id, seq FROM follower WHERE name = @name;

-- name: MoveFollower
UPDATE follower SET seq = @seq WHERE name = @name AND feed_id = @feed_id AND seq = @from_seq;

-- name: InsertFollower
INSERT INTO follower (name, feed_id, seq) VALUES (@name, @feed_id, @seq);

-- name: SumLog
SELECT COUNT(*), COALESCE(SUM(packages_diff), 0), COALESCE(SUM(versions_diff), 0), COALESCE(SUM(bytes_diff), 0)
FROM feed_log
WHERE feed_id = @feed_id AND seq > @after AND seq <= @upto;

-- name: LockFeedHead
UPDATE feed_head SET head = head WHERE feed_id = @feed_id;

-- name: CountFeed
SELECT h.head,
       (SELECT COUNT(*) FROM package p WHERE p.feed_id = h.feed_id),
       (SELECT COUNT(*) FROM package_version v JOIN package p ON p.package_id = v.package_id WHERE p.feed_id = h.feed_id),
       (SELECT COALESCE(SUM(b.size), 0)
        FROM package p
        JOIN package_version v ON v.package_id = p.package_id
        JOIN package_file f ON f.version_id = v.version_id
        JOIN blob b ON b.blob_id = f.blob_id
        WHERE p.feed_id = h.feed_id)
FROM feed_head h
WHERE h.feed_id = @feed_id;

-- name: ListLogs
SELECT feed.feed_id,
       (SELECT MIN(l.seq) FROM feed_log l WHERE l.feed_id = feed.feed_id),
       (SELECT MAX(l.seq) FROM feed_log l WHERE l.feed_id = feed.feed_id),
       (SELECT MIN(w.seq) FROM follower w WHERE w.feed_id = feed.feed_id)
FROM feed;

-- name: FirstYoungEntry
SELECT MIN(seq) FROM feed_log WHERE feed_id = @feed_id AND seq >= @first AND seq <= @upto AND logged > @now - @kept;

-- name: DeleteEntries
DELETE FROM feed_log WHERE feed_id = @feed_id AND seq < @before;

-- name: DeleteFollowers
DELETE FROM follower WHERE feed_id = @feed_id;
