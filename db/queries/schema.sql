-- name: SchemaVersion
SELECT COALESCE(MAX(version), 0), COALESCE(MAX(oldest), 0) FROM schema_version;

-- name: InsertSchemaVersion
INSERT INTO schema_version (version, name, applied, oldest) VALUES (@version, @name, @now, @oldest);
