-- oldest: 1

-- The tags that pointed at a version when it was deleted.
CREATE TABLE deleted_tag (
    version_id BIGINT NOT NULL REFERENCES deleted_version (version_id) ON DELETE CASCADE,
    tag        NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    PRIMARY KEY (version_id, tag)
);
