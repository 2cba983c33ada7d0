-- oldest: 1

-- Times are microseconds since 1970-01-01 UTC by the database's clock; flags are 0 or 1.
-- Where an id is remembered beyond a transaction, AUTOINCREMENT keeps it from being
-- given to another row once its own is deleted.
-- Key columns hold a feed type's normal form and are compared byte by byte.

-- Where objects are kept. Row 0 is the storage that every server is started with;
-- the others are opened by their URL, which never changes.
CREATE TABLE storage (
    storage_id INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    url        TEXT NOT NULL,
    probe      TEXT NOT NULL,
    created    INTEGER NOT NULL,
    CONSTRAINT storage_name UNIQUE (name_key)
);

CREATE TABLE feed (
    feed_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL,
    name_key    TEXT    NOT NULL,
    feed_type   TEXT    NOT NULL,
    description TEXT    NOT NULL,
    active      INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    storage_id  INTEGER NOT NULL REFERENCES storage (storage_id),
    redirect    INTEGER NOT NULL,
    CONSTRAINT feed_name UNIQUE (name_key)
);

-- The newest log position of each feed, apart from the feed's own row, so that
-- the question that every read asks touches one narrow page.
CREATE TABLE feed_head (
    feed_id INTEGER PRIMARY KEY REFERENCES feed (feed_id),
    head    INTEGER NOT NULL
);

CREATE TABLE feed_log (
    feed_id       INTEGER NOT NULL REFERENCES feed (feed_id),
    seq           INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    package_key   TEXT    NOT NULL,
    version_key   TEXT    NOT NULL,
    actor         TEXT    NOT NULL,
    logged        INTEGER NOT NULL,
    operation     TEXT    NOT NULL,
    packages_diff INTEGER NOT NULL,
    versions_diff INTEGER NOT NULL,
    bytes_diff    INTEGER NOT NULL,
    PRIMARY KEY (feed_id, seq),
    CONSTRAINT feed_log_operation UNIQUE (operation)
) WITHOUT ROWID;

CREATE TABLE feed_stats (
    feed_id  INTEGER PRIMARY KEY REFERENCES feed (feed_id),
    packages INTEGER NOT NULL,
    versions INTEGER NOT NULL,
    bytes    INTEGER NOT NULL
);

CREATE TABLE package (
    package_id INTEGER PRIMARY KEY AUTOINCREMENT,
    feed_id    INTEGER NOT NULL REFERENCES feed (feed_id),
    name_key   TEXT    NOT NULL,
    CONSTRAINT package_name UNIQUE (feed_id, name_key)
);

CREATE TABLE package_version (
    version_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    package_id   INTEGER NOT NULL REFERENCES package (package_id),
    name         TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    version_key  TEXT    NOT NULL,
    prerelease   INTEGER NOT NULL,
    listed       INTEGER NOT NULL,
    deprecated   TEXT    NOT NULL,
    blocked      INTEGER NOT NULL,
    manifest     TEXT    NOT NULL,
    published    INTEGER NOT NULL,
    published_by TEXT    NOT NULL,
    downloads    INTEGER NOT NULL,
    last_used    INTEGER NOT NULL,
    CONSTRAINT package_version_key UNIQUE (package_id, version_key)
);

-- Names that move from version to version: npm's dist-tags, an image's tags. They are
-- compared byte by byte.
CREATE TABLE package_tag (
    package_id INTEGER NOT NULL REFERENCES package (package_id),
    tag        TEXT NOT NULL,
    version_id INTEGER NOT NULL REFERENCES package_version ON DELETE CASCADE,
    PRIMARY KEY (package_id, tag)
) WITHOUT ROWID;
CREATE INDEX package_tag_version ON package_tag (version_id);

-- Downloads by day, as the number 20261231. Old days are added to the first of their
-- month.
CREATE TABLE download_day (
    version_id INTEGER NOT NULL REFERENCES package_version ON DELETE CASCADE,
    day        INTEGER NOT NULL,
    downloads  INTEGER NOT NULL,
    PRIMARY KEY (version_id, day)
) WITHOUT ROWID;

CREATE TABLE blob (
    blob_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256      TEXT    NOT NULL,
    sha1        TEXT,
    md5         TEXT,
    sha512      TEXT,
    size        INTEGER NOT NULL,
    storage_id  INTEGER NOT NULL REFERENCES storage (storage_id),
    storage_key TEXT NOT NULL,
    created     INTEGER NOT NULL,
    touched     INTEGER NOT NULL,
    marked      INTEGER,
    CONSTRAINT blob_storage_key UNIQUE (storage_id, storage_key)
);
CREATE INDEX blob_sha256 ON blob (sha256);
CREATE INDEX blob_marked ON blob (blob_id) WHERE marked IS NOT NULL;

CREATE TABLE package_file (
    file_id    INTEGER PRIMARY KEY,
    version_id INTEGER NOT NULL REFERENCES package_version (version_id),
    blob_id    INTEGER NOT NULL REFERENCES blob (blob_id),
    name       TEXT    NOT NULL,
    name_key   TEXT    NOT NULL,
    data       TEXT NOT NULL,
    aliases    TEXT NOT NULL,
    added      INTEGER NOT NULL,
    CONSTRAINT package_file_name UNIQUE (version_id, name_key)
);
CREATE INDEX package_file_blob ON package_file (blob_id);

-- Names by which files are found in their feed: what package_file.aliases lists, a
-- line each.
CREATE TABLE file_alias (
    feed_id INTEGER NOT NULL,
    alias   TEXT NOT NULL,
    file_id INTEGER NOT NULL REFERENCES package_file (file_id) ON DELETE CASCADE,
    PRIMARY KEY (feed_id, alias, file_id)
);
CREATE INDEX file_alias_file ON file_alias (file_id);

-- Uploads that come in several requests, each perhaps to another server. A part is
-- a blob without a digest of its own; size and sums are those of the parts that
-- came in order.
CREATE TABLE upload (
    upload_key TEXT NOT NULL PRIMARY KEY,
    storage_id INTEGER NOT NULL REFERENCES storage (storage_id),
    size       INTEGER NOT NULL,
    sums       TEXT NOT NULL,
    owner      TEXT NOT NULL,
    created    INTEGER NOT NULL,
    touched    INTEGER NOT NULL
);
CREATE INDEX upload_touched ON upload (touched);

CREATE TABLE upload_part (
    upload_key  TEXT NOT NULL REFERENCES upload (upload_key),
    part_offset INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    blob_id     INTEGER NOT NULL REFERENCES blob (blob_id),
    PRIMARY KEY (upload_key, part_offset)
);
CREATE INDEX upload_part_blob ON upload_part (blob_id);

-- What was deleted and can be brought back, for as long as its blobs are kept.
CREATE TABLE deleted_version (
    version_id   INTEGER PRIMARY KEY,
    feed_id      INTEGER NOT NULL,
    package_key  TEXT NOT NULL,
    name         TEXT NOT NULL,
    version      TEXT NOT NULL,
    version_key  TEXT NOT NULL,
    prerelease   INTEGER NOT NULL,
    listed       INTEGER NOT NULL,
    deprecated   TEXT NOT NULL,
    blocked      INTEGER NOT NULL,
    manifest     TEXT NOT NULL,
    published    INTEGER NOT NULL,
    published_by TEXT NOT NULL,
    downloads    INTEGER NOT NULL,
    deleted      INTEGER NOT NULL,
    deleted_by   TEXT NOT NULL
);
CREATE INDEX deleted_version_feed ON deleted_version (feed_id, version_id);
CREATE INDEX deleted_version_age ON deleted_version (deleted);

CREATE TABLE deleted_file (
    file_id    INTEGER PRIMARY KEY,
    version_id INTEGER NOT NULL REFERENCES deleted_version (version_id),
    name       TEXT NOT NULL,
    size       INTEGER NOT NULL,
    sha256     TEXT NOT NULL,
    storage_id INTEGER NOT NULL,
    data       TEXT NOT NULL,
    aliases    TEXT NOT NULL,
    added      INTEGER NOT NULL
);
CREATE INDEX deleted_file_version ON deleted_file (version_id);

-- Which versions of a feed are deleted by themselves. conditions is JSON.
CREATE TABLE retention_rule (
    rule_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    feed_id    INTEGER NOT NULL REFERENCES feed (feed_id),
    conditions TEXT    NOT NULL
);
CREATE INDEX retention_rule_feed ON retention_rule (feed_id);

CREATE TABLE user_account (
    user_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL,
    name_key      TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    session_epoch INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    CONSTRAINT user_account_name UNIQUE (name_key)
);

CREATE TABLE api_key (
    key_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT    NOT NULL,
    key_hash TEXT    NOT NULL,
    feed_id  INTEGER REFERENCES feed (feed_id),
    task     TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    expires  INTEGER,
    CONSTRAINT api_key_hash UNIQUE (key_hash)
);

-- subject is "anonymous", "authenticated" or "user:" and the user's key.
CREATE TABLE permission (
    permission_id INTEGER PRIMARY KEY,
    subject       TEXT    NOT NULL,
    feed_id       INTEGER REFERENCES feed (feed_id),
    task          TEXT    NOT NULL
);

CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE node (
    name       TEXT    NOT NULL PRIMARY KEY,
    instance   TEXT    NOT NULL,
    started    INTEGER NOT NULL,
    heartbeat  INTEGER NOT NULL,
    details    TEXT    NOT NULL
);

CREATE TABLE lease (
    office  TEXT    NOT NULL PRIMARY KEY,
    holder  TEXT    NOT NULL,
    address TEXT    NOT NULL,
    fence   INTEGER NOT NULL,
    term    TEXT    NOT NULL,
    expires INTEGER NOT NULL
);

CREATE TABLE office_fence (
    office TEXT    NOT NULL PRIMARY KEY,
    fence  INTEGER NOT NULL,
    term   TEXT    NOT NULL
);

CREATE TABLE follower (
    name    TEXT    NOT NULL,
    feed_id INTEGER NOT NULL REFERENCES feed (feed_id),
    seq     INTEGER NOT NULL,
    PRIMARY KEY (name, feed_id)
) WITHOUT ROWID;

CREATE TABLE job (
    job_id        INTEGER PRIMARY KEY,
    kind          TEXT    NOT NULL,
    argument      TEXT    NOT NULL,
    lane          TEXT NOT NULL,
    run_key       TEXT,
    state         TEXT    NOT NULL,
    priority      INTEGER NOT NULL,
    run_after     INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    max_failures  INTEGER NOT NULL,
    worker        TEXT    NOT NULL,
    claim_expires INTEGER NOT NULL,
    done          INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    remark        TEXT    NOT NULL,
    queued_by     TEXT NOT NULL,
    cancel        INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    started       INTEGER NOT NULL,
    finished      INTEGER NOT NULL,
    CONSTRAINT job_run_key UNIQUE (run_key)
);
CREATE INDEX job_waiting ON job (state, lane, priority, run_after, job_id);
CREATE INDEX job_delayed ON job (state, run_after);
CREATE INDEX job_finished ON job (finished);
CREATE INDEX job_kind ON job (kind, argument, job_id);

CREATE TABLE job_log (
    job_id  INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    logged  INTEGER NOT NULL,
    lines   TEXT NOT NULL,
    PRIMARY KEY (job_id, attempt, part)
);

CREATE TABLE schedule (
    name       TEXT NOT NULL PRIMARY KEY,
    expression TEXT NOT NULL,
    enabled    INTEGER NOT NULL,
    next_run   INTEGER NOT NULL
);

CREATE TABLE term (
    office TEXT NOT NULL,
    fence  INTEGER NOT NULL,
    holder TEXT NOT NULL,
    began  INTEGER NOT NULL,
    seen   INTEGER NOT NULL,
    PRIMARY KEY (office, fence)
);

-- Files of a feed's repository index. A file is there from one generation until
-- another; the one row of index_head says which is the present one. Several files
-- can lie in one blob. ended is when until was set.
CREATE TABLE index_head (
    feed_id    INTEGER NOT NULL REFERENCES feed (feed_id),
    kind       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    build      TEXT NOT NULL,
    state      TEXT NOT NULL,
    PRIMARY KEY (feed_id, kind)
);

CREATE TABLE index_file (
    feed_id INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL,
    since   INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    blob_id INTEGER NOT NULL REFERENCES blob (blob_id),
    start   INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    sha256  TEXT NOT NULL,
    PRIMARY KEY (feed_id, kind, name, since),
    FOREIGN KEY (feed_id, kind) REFERENCES index_head (feed_id, kind)
);
CREATE INDEX index_file_blob ON index_file (blob_id);
CREATE INDEX index_file_ended ON index_file (ended) WHERE ended > 0;

INSERT INTO storage (storage_id, name, name_key, url, probe, created) VALUES (0, 'Default', 'default', '', '', 0);
INSERT INTO feed (feed_id, name, name_key, feed_type, description, active, created, storage_id, redirect)
VALUES (0, '', '', 'system', 'Changes of the installation itself', 0, 0, 0, 0);
INSERT INTO feed_head (feed_id, head) VALUES (0, 0);
INSERT INTO feed_stats (feed_id, packages, versions, bytes) VALUES (0, 0, 0, 0);
