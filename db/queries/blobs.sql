-- name: CountBlobs
SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blob WHERE marked IS NULL;
