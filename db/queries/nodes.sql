-- name: Clock
SELECT @now;

-- name: UpdateNode
UPDATE node
SET instance = @instance, started = @started, heartbeat = @now, details = @details
WHERE name = @name;

-- name: RenewNode
UPDATE node SET heartbeat = @now, details = @details WHERE name = @name AND instance = @instance;

-- name: InsertNode
INSERT INTO node (name, instance, started, heartbeat, details) VALUES (@name, @instance, @started, @now, @details);

-- name: ListNodes
SELECT name, instance, started, @now - heartbeat, details FROM node ORDER BY name;

-- name: LeaveNode
DELETE FROM node WHERE name = @name AND instance = @instance;

-- name: DeleteNode
DELETE FROM node WHERE name = @name AND heartbeat < @now - @older_than;
