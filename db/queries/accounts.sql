-- name: FindUser
SELECT user_id, name, password_hash, session_epoch FROM user_account WHERE name_key = @name_key;

-- name: InsertUser
INSERT INTO user_account (name, name_key, password_hash, session_epoch, created)
VALUES (@name, @name_key, @password_hash, @now, @now);

-- name: ListUsers
SELECT name FROM user_account ORDER BY name_key;

-- name: LockUser
UPDATE user_account SET session_epoch = session_epoch WHERE name_key = @name_key;

-- name: DeleteUser
DELETE FROM user_account WHERE name_key = @name_key;

-- name: SetPassword
UPDATE user_account
SET password_hash = @password_hash, session_epoch = session_epoch + 1
WHERE name_key = @name_key;

-- name: FindKey
SELECT k.key_id, k.name, COALESCE(k.feed_id, 0), k.task, k.created, k.expires FROM api_key k
WHERE k.key_hash = @key_hash AND (k.expires IS NULL OR k.expires > @now);

-- name: ListKeys
SELECT k.key_id, k.name, COALESCE(k.feed_id, 0), k.task, k.created, k.expires FROM api_key k ORDER BY k.key_id;

-- name: DeleteKey
DELETE FROM api_key WHERE key_id = @key_id;

-- name: DeleteFeedKeys
DELETE FROM api_key WHERE feed_id = @feed_id;

-- name: InsertKey
INSERT INTO api_key (name, key_hash, feed_id, task, created, expires)
VALUES (@name, @key_hash, @feed_id, @task, @now, @expires);

-- name: ListPermissions
SELECT subject, COALESCE(feed_id, 0), task FROM permission ORDER BY permission_id;

-- name: InsertPermission
INSERT INTO permission (subject, feed_id, task) VALUES (@subject, @feed_id, @task);

-- name: DeletePermission
DELETE FROM permission WHERE subject = @subject AND COALESCE(feed_id, 0) = @feed_id;

-- name: DeleteSubjectPermissions
DELETE FROM permission WHERE subject = @subject;

-- name: DeleteFeedPermissions
DELETE FROM permission WHERE feed_id = @feed_id;

-- name: GetSetting
SELECT value FROM setting WHERE name = @name;

-- name: ListSettings
SELECT name, value FROM setting ORDER BY name;

-- name: UpdateSetting
UPDATE setting SET value = @value WHERE name = @name;

-- name: InsertSetting
INSERT INTO setting (name, value) VALUES (@name, @value);
