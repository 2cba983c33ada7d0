-- oldest: 1

-- The tags that pointed at a version when it was deleted.
CREATE TABLE deleted_tag (
    version_id BIGINT NOT NULL REFERENCES deleted_version (version_id) ON DELETE CASCADE,
    tag        TEXT NOT NULL,
    PRIMARY KEY (version_id, tag)
);
