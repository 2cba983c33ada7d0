-- name: Clock
SELECT @now;

-- name: UpdateNode
UPDATE node
SET instance = @instance, started = CASE WHEN instance = @instance THEN started ELSE @now END,
    heartbeat = @now, details = @details
WHERE name = @name;

-- name: InsertNode
INSERT INTO node (name, instance, started, heartbeat, details) VALUES (@name, @instance, @now, @now, @details);

-- name: ListNodes
SELECT name, instance, started, @now - heartbeat, details FROM node ORDER BY name;

-- name: DeleteNode
DELETE FROM node WHERE name = @name AND heartbeat < @now - @older_than;
