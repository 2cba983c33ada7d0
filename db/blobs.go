package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

// A BlobRow is the database's record of a stored blob.
type BlobRow struct {
	ID         int64
	SHA256     string // hex
	Size       int64
	StorageID  int64
	StorageKey string
}

func (b *BlobRow) fields() []any {
	return []any{&b.ID, &b.SHA256, &b.Size, &b.StorageID, &b.StorageKey}
}

// FindBlob returns the blob of a storage to which a new file with these bytes would
// refer, or proget.ErrNotFound.
func (s *Store) FindBlob(ctx context.Context, storageID int64, sha256 string, size int64) (b BlobRow, err error) {
	err = one(ctx, s.read, "FindBlob", []sql.NamedArg{arg("storage_id", storageID), arg("sha256", sha256), arg("size", size)}, b.fields()...)
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.Errorf(proget.ErrNotFound, "There is no blob %s of %d bytes.", sha256, size)
	}
	return b, err
}

// replaceObject makes b refer to the object at key, which holds its bytes, unless b no
// longer refers to b.StorageKey.
func (tx *Tx) replaceObject(ctx context.Context, b BlobRow, key string) error {
	_, err := tx.run(ctx, "ReplaceObject", replacement(b, key)...)
	return tx.unrecorded(err)
}

// adopt records an object that, as far as the caller knows, has no row.
func (tx *Tx) adopt(ctx context.Context, storageID int64, key string, size int64) error {
	_, err := tx.run(ctx, "AdoptObject", arg("sha256", ""), arg("size", size), arg("storage_id", storageID), arg("storage_key", key))
	return tx.unrecorded(err)
}

// unrecorded turns a unique violation, which means that a row already names the object,
// into proget.ErrUnavailable rather than a conflict: the caller is too late, and the
// object is no longer its own to remove.
func (tx *Tx) unrecorded(err error) error {
	if err != nil && tx.classify(err) == driver.Unique {
		return proget.WrapError(proget.ErrUnavailable, err, "The upload could not be recorded in time. Send it again.")
	}
	return err
}

func replacement(b BlobRow, key string) []sql.NamedArg {
	return []sql.NamedArg{arg("blob_id", b.ID), arg("old_key", b.StorageKey), arg("storage_key", key)}
}

// HasObject reports whether a row names the object at key.
func (s *Store) HasObject(ctx context.Context, storageID int64, key string) (bool, error) {
	var rows int64
	err := one(ctx, s.read, "CountObject", []sql.NamedArg{arg("storage_id", storageID), arg("storage_key", key)}, &rows)
	return rows > 0, err
}

// ReplaceObject makes b refer to the object at key in its storage, which holds the same
// bytes. It returns false if b no longer refers to b.StorageKey, or is marked. It may
// be repeated.
func (s *Store) ReplaceObject(ctx context.Context, b BlobRow, key string) (replaced bool, err error) {
	err = s.Tx(ctx, func(tx *Tx) error {
		n, err := tx.run(ctx, "ReplaceObject", replacement(b, key)...)
		replaced = n > 0
		return err
	})
	return replaced, err
}

// BlobCopies returns the other blobs, in all storages, that hold the same bytes as b,
// marked or not.
func (s *Store) BlobCopies(ctx context.Context, b BlobRow) ([]BlobRow, error) {
	return list(ctx, s.read, "BlobCopies", (*BlobRow).fields, arg("blob_id", b.ID), arg("sha256", b.SHA256), arg("size", b.Size))
}

// AdoptObject records an object that no row names as a blob to which nothing refers
// yet. It returns proget.ErrConflict if a row names the object by now.
func (s *Store) AdoptObject(ctx context.Context, b BlobRow) error {
	_, err := run(ctx, s.write, "AdoptObject", arg("sha256", b.SHA256), arg("size", b.Size), arg("storage_id", b.StorageID), arg("storage_key", b.StorageKey))
	return err
}

// ListBlobs returns up to limit blobs to which a package refers, in the order of their
// ids, beginning after an id.
func (s *Store) ListBlobs(ctx context.Context, after int64, limit int) ([]BlobRow, error) {
	return list(ctx, s.read, "ListBlobs", (*BlobRow).fields, arg("after", after), arg("limit", limit))
}

// CountBlobs returns the number of blobs to which a package refers, and their total
// bytes. It reads the whole table, so it is meant for jobs, not for requests.
func (s *Store) CountBlobs(ctx context.Context) (count, bytes int64, err error) {
	err = s.on(ctx, s.pools.Read, counting, func(c *conn) error {
		return c.one(ctx, "CountBlobs", nil, &count, &bytes)
	})
	return count, bytes, err
}

// counting limits operations that may take minutes and for which nobody waits.
var counting = bounds{patience: 15 * time.Minute, attempt: 5 * time.Minute, wait: 5 * time.Second}

// BlobVersions returns the versions that need a blob, each as
// "feed/package version".
func (s *Store) BlobVersions(ctx context.Context, blobID int64) ([]string, error) {
	rows, err := list(ctx, s.read, "BlobVersions", func(r *[3]string) []any { return []any{&r[0], &r[1], &r[2]} }, arg("blob_id", blobID))
	var versions []string
	for _, r := range rows {
		versions = append(versions, r[0]+"/"+r[1]+" "+r[2])
	}
	return versions, err
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
