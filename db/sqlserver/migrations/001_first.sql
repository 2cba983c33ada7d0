-- oldest: 1

-- Times are microseconds since 1970-01-01 UTC by the database's clock; flags are 0 or 1.
-- Key columns hold a feed type's normal form and are compared byte by byte.

-- Where objects are kept. Row 0 is the storage that every server is started with;
-- the others are opened by their URL, which never changes.
CREATE TABLE storage (
    storage_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    name       NVARCHAR(400) NOT NULL,
    name_key   NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    url        NVARCHAR(MAX) NOT NULL,
    probe      NVARCHAR(MAX) NOT NULL,
    created    BIGINT NOT NULL,
    CONSTRAINT storage_name UNIQUE (name_key)
);

CREATE TABLE feed (
    feed_id     BIGINT NOT NULL IDENTITY PRIMARY KEY,
    name        NVARCHAR(400) NOT NULL,
    name_key    NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    feed_type   NVARCHAR(50) COLLATE Latin1_General_BIN2 NOT NULL,
    description NVARCHAR(MAX) NOT NULL,
    active      SMALLINT NOT NULL,
    created     BIGINT NOT NULL,
    storage_id  BIGINT NOT NULL REFERENCES storage (storage_id),
    redirect    SMALLINT NOT NULL,
    CONSTRAINT feed_name UNIQUE (name_key)
);

-- The newest log position of each feed, apart from the feed's own row, so that
-- the question that every read asks touches one narrow page.
CREATE TABLE feed_head (
    feed_id BIGINT NOT NULL PRIMARY KEY REFERENCES feed (feed_id),
    head    BIGINT NOT NULL
);

CREATE TABLE feed_log (
    feed_id       BIGINT NOT NULL REFERENCES feed (feed_id),
    seq           BIGINT NOT NULL,
    kind          NVARCHAR(50) COLLATE Latin1_General_BIN2 NOT NULL,
    package_key   NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    version_key   NVARCHAR(255) COLLATE Latin1_General_BIN2 NOT NULL,
    actor         NVARCHAR(255) NOT NULL,
    logged        BIGINT NOT NULL,
    operation     NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL,
    packages_diff BIGINT NOT NULL,
    versions_diff BIGINT NOT NULL,
    bytes_diff    BIGINT NOT NULL,
    PRIMARY KEY (feed_id, seq),
    CONSTRAINT feed_log_operation UNIQUE (operation)
);

CREATE TABLE feed_stats (
    feed_id BIGINT NOT NULL PRIMARY KEY REFERENCES feed (feed_id),
    packages BIGINT NOT NULL,
    versions BIGINT NOT NULL,
    bytes    BIGINT NOT NULL
);

CREATE TABLE package (
    package_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    feed_id    BIGINT NOT NULL REFERENCES feed (feed_id),
    name_key   NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    CONSTRAINT package_name UNIQUE (feed_id, name_key)
);

CREATE TABLE package_version (
    version_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    package_id   BIGINT NOT NULL REFERENCES package (package_id),
    name         NVARCHAR(400) NOT NULL,
    version      NVARCHAR(255) NOT NULL,
    version_key  NVARCHAR(255) COLLATE Latin1_General_BIN2 NOT NULL,
    prerelease   SMALLINT NOT NULL,
    listed       SMALLINT NOT NULL,
    deprecated   NVARCHAR(MAX) NOT NULL,
    blocked      SMALLINT NOT NULL,
    manifest     NVARCHAR(MAX) NOT NULL,
    published    BIGINT NOT NULL,
    published_by NVARCHAR(255) NOT NULL,
    downloads    BIGINT NOT NULL,
    last_used    BIGINT NOT NULL,
    CONSTRAINT package_version_key UNIQUE (package_id, version_key)
);

-- Names that move from version to version: npm's dist-tags, an image's tags. They are
-- compared byte by byte.
CREATE TABLE package_tag (
    package_id BIGINT NOT NULL REFERENCES package (package_id),
    tag        NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    version_id BIGINT NOT NULL REFERENCES package_version ON DELETE CASCADE,
    PRIMARY KEY (package_id, tag)
);
CREATE INDEX package_tag_version ON package_tag (version_id);

-- Downloads by day, as the number 20261231. Old days are added to the first of their
-- month.
CREATE TABLE download_day (
    version_id BIGINT NOT NULL REFERENCES package_version ON DELETE CASCADE,
    day        BIGINT NOT NULL,
    downloads  BIGINT NOT NULL,
    PRIMARY KEY (version_id, day)
);

CREATE TABLE blob (
    blob_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    sha256      NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL,
    sha1        NVARCHAR(40) COLLATE Latin1_General_BIN2,
    md5         NVARCHAR(32) COLLATE Latin1_General_BIN2,
    sha512      NVARCHAR(128) COLLATE Latin1_General_BIN2,
    size        BIGINT NOT NULL,
    storage_id  BIGINT NOT NULL REFERENCES storage (storage_id),
    storage_key NVARCHAR(200) COLLATE Latin1_General_BIN2 NOT NULL,
    created     BIGINT NOT NULL,
    touched     BIGINT NOT NULL,
    marked      BIGINT,
    CONSTRAINT blob_storage_key UNIQUE (storage_id, storage_key)
);
CREATE INDEX blob_sha256 ON blob (sha256);
CREATE INDEX blob_marked ON blob (blob_id) WHERE marked IS NOT NULL;

CREATE TABLE package_file (
    file_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    version_id BIGINT NOT NULL REFERENCES package_version (version_id),
    blob_id    BIGINT NOT NULL REFERENCES blob (blob_id),
    name       NVARCHAR(400) NOT NULL,
    name_key   NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    data       NVARCHAR(MAX) NOT NULL,
    aliases    NVARCHAR(MAX) NOT NULL,
    added      BIGINT NOT NULL,
    CONSTRAINT package_file_name UNIQUE (version_id, name_key)
);
CREATE INDEX package_file_blob ON package_file (blob_id);

-- Names by which files are found in their feed: what package_file.aliases lists, a
-- line each.
CREATE TABLE file_alias (
    feed_id BIGINT NOT NULL,
    alias   NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    file_id BIGINT NOT NULL REFERENCES package_file (file_id) ON DELETE CASCADE,
    PRIMARY KEY (feed_id, alias, file_id)
);
CREATE INDEX file_alias_file ON file_alias (file_id);

-- Uploads that come in several requests, each perhaps to another server. A part is
-- a blob without a digest of its own; size and sums are those of the parts that
-- came in order.
CREATE TABLE upload (
    upload_key NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY,
    storage_id BIGINT NOT NULL REFERENCES storage (storage_id),
    size       BIGINT NOT NULL,
    sums       NVARCHAR(MAX) NOT NULL,
    owner      NVARCHAR(255) NOT NULL,
    created    BIGINT NOT NULL,
    touched    BIGINT NOT NULL
);
CREATE INDEX upload_touched ON upload (touched);

CREATE TABLE upload_part (
    upload_key  NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL REFERENCES upload (upload_key),
    part_offset BIGINT NOT NULL,
    size        BIGINT NOT NULL,
    blob_id     BIGINT NOT NULL REFERENCES blob (blob_id),
    PRIMARY KEY (upload_key, part_offset)
);
CREATE INDEX upload_part_blob ON upload_part (blob_id);

-- What was deleted and can be brought back, for as long as its blobs are kept.
CREATE TABLE deleted_version (
    version_id   BIGINT NOT NULL PRIMARY KEY,
    feed_id      BIGINT NOT NULL,
    package_key  NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    name         NVARCHAR(400) NOT NULL,
    version      NVARCHAR(255) NOT NULL,
    version_key  NVARCHAR(255) COLLATE Latin1_General_BIN2 NOT NULL,
    prerelease   SMALLINT NOT NULL,
    listed       SMALLINT NOT NULL,
    deprecated   NVARCHAR(MAX) NOT NULL,
    blocked      SMALLINT NOT NULL,
    manifest     NVARCHAR(MAX) NOT NULL,
    published    BIGINT NOT NULL,
    published_by NVARCHAR(255) NOT NULL,
    downloads    BIGINT NOT NULL,
    deleted      BIGINT NOT NULL,
    deleted_by   NVARCHAR(255) NOT NULL
);
CREATE INDEX deleted_version_feed ON deleted_version (feed_id, version_id);
CREATE INDEX deleted_version_age ON deleted_version (deleted);

CREATE TABLE deleted_file (
    file_id    BIGINT NOT NULL IDENTITY PRIMARY KEY,
    version_id BIGINT NOT NULL REFERENCES deleted_version (version_id),
    name       NVARCHAR(400) NOT NULL,
    size       BIGINT NOT NULL,
    sha256     NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL,
    storage_id BIGINT NOT NULL,
    data       NVARCHAR(MAX) NOT NULL,
    aliases    NVARCHAR(MAX) NOT NULL,
    added      BIGINT NOT NULL
);
CREATE INDEX deleted_file_version ON deleted_file (version_id);

-- Which versions of a feed are deleted by themselves. conditions is JSON.
CREATE TABLE retention_rule (
    rule_id    BIGINT NOT NULL IDENTITY PRIMARY KEY,
    feed_id    BIGINT NOT NULL REFERENCES feed (feed_id),
    conditions NVARCHAR(MAX) NOT NULL
);
CREATE INDEX retention_rule_feed ON retention_rule (feed_id);

CREATE TABLE user_account (
    user_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    name          NVARCHAR(400) NOT NULL,
    name_key      NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL,
    password_hash NVARCHAR(255) NOT NULL,
    session_epoch BIGINT NOT NULL,
    created       BIGINT NOT NULL,
    CONSTRAINT user_account_name UNIQUE (name_key)
);

CREATE TABLE api_key (
    key_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    name     NVARCHAR(400) NOT NULL,
    key_hash NVARCHAR(100) COLLATE Latin1_General_BIN2 NOT NULL,
    feed_id  BIGINT REFERENCES feed (feed_id),
    task     NVARCHAR(20) COLLATE Latin1_General_BIN2 NOT NULL,
    created  BIGINT NOT NULL,
    expires  BIGINT,
    CONSTRAINT api_key_hash UNIQUE (key_hash)
);

-- subject is "anonymous", "authenticated" or "user:" and the user's key.
CREATE TABLE permission (
    permission_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    subject       NVARCHAR(255) COLLATE Latin1_General_BIN2 NOT NULL,
    feed_id       BIGINT REFERENCES feed (feed_id),
    task          NVARCHAR(20) COLLATE Latin1_General_BIN2 NOT NULL
);

CREATE TABLE setting (
    name  NVARCHAR(200) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY,
    value NVARCHAR(MAX) NOT NULL
);

CREATE TABLE node (
    name       NVARCHAR(200) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY,
    instance   NVARCHAR(64) NOT NULL,
    started    BIGINT NOT NULL,
    heartbeat  BIGINT NOT NULL,
    details    NVARCHAR(MAX) NOT NULL
);

CREATE TABLE lease (
    office  NVARCHAR(100) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY,
    holder  NVARCHAR(200) COLLATE Latin1_General_BIN2 NOT NULL,
    address NVARCHAR(255) NOT NULL,
    fence   BIGINT NOT NULL,
    term    NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL,
    expires BIGINT NOT NULL
);

CREATE TABLE office_fence (
    office NVARCHAR(100) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY,
    fence  BIGINT NOT NULL,
    term   NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL
);

CREATE TABLE follower (
    name    NVARCHAR(100) COLLATE Latin1_General_BIN2 NOT NULL,
    feed_id BIGINT NOT NULL REFERENCES feed (feed_id),
    seq     BIGINT NOT NULL,
    PRIMARY KEY (name, feed_id)
);

CREATE TABLE job (
    job_id BIGINT NOT NULL IDENTITY PRIMARY KEY,
    kind          NVARCHAR(50) COLLATE Latin1_General_BIN2 NOT NULL,
    argument      NVARCHAR(MAX) NOT NULL,
    lane          NVARCHAR(50) COLLATE Latin1_General_BIN2 NOT NULL,
    run_key       NVARCHAR(255) COLLATE Latin1_General_BIN2,
    state         NVARCHAR(20) COLLATE Latin1_General_BIN2 NOT NULL,
    priority      SMALLINT NOT NULL,
    run_after     BIGINT NOT NULL,
    attempt       BIGINT NOT NULL,
    failures      SMALLINT NOT NULL,
    max_failures  SMALLINT NOT NULL,
    worker        NVARCHAR(200) COLLATE Latin1_General_BIN2 NOT NULL,
    claim_expires BIGINT NOT NULL,
    done          BIGINT NOT NULL,
    total         BIGINT NOT NULL,
    remark        NVARCHAR(MAX) NOT NULL,
    queued_by     NVARCHAR(MAX) NOT NULL,
    cancel        SMALLINT NOT NULL,
    created       BIGINT NOT NULL,
    started       BIGINT NOT NULL,
    finished      BIGINT NOT NULL
);
CREATE UNIQUE INDEX job_run_key ON job (run_key) WHERE run_key IS NOT NULL;
CREATE INDEX job_waiting ON job (state, lane, priority, run_after, job_id);
CREATE INDEX job_delayed ON job (state, run_after);
CREATE INDEX job_finished ON job (finished);
CREATE INDEX job_kind ON job (kind, job_id);

CREATE TABLE job_log (
    job_id  BIGINT NOT NULL REFERENCES job (job_id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    part    BIGINT NOT NULL,
    logged  BIGINT NOT NULL,
    lines   NVARCHAR(MAX) NOT NULL,
    PRIMARY KEY (job_id, attempt, part)
);

CREATE TABLE schedule (
    name       NVARCHAR(50) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY,
    expression NVARCHAR(MAX) NOT NULL,
    enabled    SMALLINT NOT NULL,
    next_run   BIGINT NOT NULL
);

CREATE TABLE term (
    office NVARCHAR(50) COLLATE Latin1_General_BIN2 NOT NULL,
    fence  BIGINT NOT NULL,
    holder NVARCHAR(200) COLLATE Latin1_General_BIN2 NOT NULL,
    began  BIGINT NOT NULL,
    seen   BIGINT NOT NULL,
    PRIMARY KEY (office, fence)
);

-- Files of a feed's repository index. A file is there from one generation until
-- another; the one row of index_head says which is the present one. Several files
-- can lie in one blob. ended is when until was set.
CREATE TABLE index_head (
    feed_id    BIGINT NOT NULL REFERENCES feed (feed_id),
    kind       NVARCHAR(50) COLLATE Latin1_General_BIN2 NOT NULL,
    generation BIGINT NOT NULL,
    build      NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL,
    state      NVARCHAR(MAX) NOT NULL,
    PRIMARY KEY (feed_id, kind)
);

CREATE TABLE index_file (
    feed_id BIGINT NOT NULL,
    kind    NVARCHAR(50) COLLATE Latin1_General_BIN2 NOT NULL,
    name    NVARCHAR(350) COLLATE Latin1_General_BIN2 NOT NULL,
    since   BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    ended   BIGINT NOT NULL,
    blob_id BIGINT NOT NULL REFERENCES blob (blob_id),
    start   BIGINT NOT NULL,
    size    BIGINT NOT NULL,
    sha256  NVARCHAR(64) COLLATE Latin1_General_BIN2 NOT NULL,
    PRIMARY KEY (feed_id, kind, name, since),
    FOREIGN KEY (feed_id, kind) REFERENCES index_head (feed_id, kind)
);
CREATE INDEX index_file_blob ON index_file (blob_id);
CREATE INDEX index_file_ended ON index_file (ended) WHERE ended > 0;

SET IDENTITY_INSERT storage ON;
INSERT INTO storage (storage_id, name, name_key, url, probe, created) VALUES (0, 'Default', 'default', '', '', 0);
SET IDENTITY_INSERT storage OFF;
SET IDENTITY_INSERT feed ON;
INSERT INTO feed (feed_id, name, name_key, feed_type, description, active, created, storage_id, redirect)
VALUES (0, '', '', 'system', 'Changes of the installation itself', 0, 0, 0, 0);
SET IDENTITY_INSERT feed OFF;
INSERT INTO feed_head (feed_id, head) VALUES (0, 0);
INSERT INTO feed_stats (feed_id, packages, versions, bytes) VALUES (0, 0, 0, 0);
