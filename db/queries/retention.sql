-- name: ListRetentionRules
SELECT rule_id, feed_id, conditions FROM retention_rule ORDER BY rule_id;

-- name: InsertRetentionRule
INSERT INTO retention_rule (feed_id, conditions) VALUES (@feed_id, @conditions);

-- name: DeleteRetentionRules
DELETE FROM retention_rule WHERE feed_id = @feed_id;

-- name: ListVersionUse
SELECT p.name_key, v.version_id, v.version_key, v.name, v.version, v.prerelease, v.published, v.last_used, v.downloads,
       (SELECT COALESCE(SUM(b.size), 0) FROM package_file f JOIN blob b ON b.blob_id = f.blob_id WHERE f.version_id = v.version_id),
       COALESCE(t.tag, '')
FROM package p
JOIN package_version v ON v.package_id = p.package_id
LEFT JOIN package_tag t ON t.package_id = p.package_id AND t.version_id = v.version_id
WHERE p.feed_id = @feed_id AND p.name_key >= @from_key AND p.name_key <= @upto
ORDER BY p.name_key, v.version_id, t.tag;
