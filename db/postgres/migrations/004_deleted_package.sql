-- oldest: 1

-- A pushed manifest may name blobs of a package's deleted versions.
CREATE INDEX deleted_version_package ON deleted_version (feed_id, package_key, version_id);
