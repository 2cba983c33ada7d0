-- name: FindUser
SELECT user_id, name, password_hash, session_epoch FROM user_account WHERE name_key = @name_key;

-- name: InsertUser
INSERT INTO user_account (name, name_key, password_hash, session_epoch, created)
VALUES (@name, @name_key, @password_hash, 1, @now);

-- name: SetPassword
UPDATE user_account
SET password_hash = @password_hash, session_epoch = session_epoch + 1
WHERE name_key = @name_key;

-- name: FindKey
SELECT k.name, k.feed_id, k.task, k.expires FROM api_key k
WHERE k.key_hash = @key_hash AND (k.expires IS NULL OR k.expires > @now);

-- name: InsertKey
INSERT INTO api_key (name, key_hash, feed_id, task, created, expires)
VALUES (@name, @key_hash, @feed_id, @task, @now, @expires);

-- name: ListPermissions
SELECT subject, feed_id, task FROM permission ORDER BY permission_id;

-- name: InsertPermission
INSERT INTO permission (subject, feed_id, task) VALUES (@subject, @feed_id, @task);

-- name: GetSetting
SELECT value FROM setting WHERE name = @name;

-- name: ListSettings
SELECT name, value FROM setting ORDER BY name;

-- name: UpdateSetting
UPDATE setting SET value = @value WHERE name = @name;

-- name: InsertSetting
INSERT INTO setting (name, value) VALUES (@name, @value);
