-- name: AddDownloads
UPDATE package_version SET downloads = downloads + @downloads, last_used = @now WHERE version_id = @version_id;

-- name: AddDayDownloads
UPDATE download_day SET downloads = downloads + @downloads WHERE version_id = @version_id AND day = @day;

-- name: InsertDayDownloads
INSERT INTO download_day (version_id, day, downloads) VALUES (@version_id, @day, @downloads);

-- name: DailyDownloads
SELECT d.day, SUM(d.downloads)
FROM package_version v
JOIN download_day d ON d.version_id = v.version_id
WHERE v.package_id = @package_id AND d.day >= @since
GROUP BY d.day;

-- name: LastCounted
SELECT COALESCE(MAX(version_id), 0) FROM download_day;

-- name: SumMonths
UPDATE download_day
SET downloads = downloads + (SELECT COALESCE(SUM(o.downloads), 0) FROM download_day o
                             WHERE o.version_id = download_day.version_id AND o.day > download_day.day AND o.day < download_day.day + 31)
WHERE version_id > @after AND version_id <= @upto AND day < @before AND day % 100 = 1;

-- name: InsertMonths
INSERT INTO download_day (version_id, day, downloads)
SELECT d.version_id, d.day - d.day % 100 + 1, SUM(d.downloads)
FROM download_day d
WHERE d.version_id > @after AND d.version_id <= @upto AND d.day < @before
  AND NOT EXISTS (SELECT 1 FROM download_day o WHERE o.version_id = d.version_id AND o.day = d.day - d.day % 100 + 1)
GROUP BY d.version_id, d.day - d.day % 100 + 1;

-- name: DeleteDays
DELETE FROM download_day WHERE version_id > @after AND version_id <= @upto AND day < @before AND day % 100 > 1;
