-- name: SchemaVersion
SELECT COALESCE(MAX(version), 0) FROM schema_version;

-- name: InsertSchemaVersion
INSERT INTO schema_version (version, name, applied) VALUES (@version, @name, @now);
