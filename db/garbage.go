package db

import (
	"context"
	"database/sql"
	"time"
)

// # How blobs end
//
// A blob to which nothing refers, and which nobody has touched for a grace period, is
// marked. A mark is permanent: a publisher that wants to reuse a marked blob finds none
// and stores its own object. Then the object is deleted, and then the row. Whoever does
// this may be late, be interrupted, or do it twice.
//
// Touching and marking update the same row, and each checks what the other writes. So a
// publisher that reuses a blob at that very moment either comes first, and the blob is
// not marked, or finds it marked. If it comes first, the marking statement waits for the
// row; an engine may then see the new row but still the old references, so the statement
// marks only rows that were not touched since it looked for references.
//
// An object without a row is first recorded as a marked blob. Its key is unique, so a
// publisher that was about to record it either has done so or can no longer.

// LastBlob returns the greatest id of a blob.
func (s *Store) LastBlob(ctx context.Context) (id int64, err error) {
	err = one(ctx, s.read, "LastBlob", nil, &id)
	return id, err
}

// MarkBlobs marks the blobs with ids greater than after, up to upto, to which nothing
// refers and which nobody has touched for grace. It returns how many it marked.
func (s *Store) MarkBlobs(ctx context.Context, after, upto int64, grace time.Duration) (marked int64, err error) {
	return run(ctx, s.write, "MarkBlobs", arg("after", after), arg("upto", upto), arg("grace", grace.Microseconds()))
}

// SumGarbage returns the number and bytes of the blobs, in the same range, that
// MarkBlobs would mark or that are already marked.
func (s *Store) SumGarbage(ctx context.Context, after, upto int64, grace time.Duration) (blobs, bytes int64, err error) {
	err = one(ctx, s.read, "SumGarbage", []sql.NamedArg{arg("after", after), arg("upto", upto), arg("grace", grace.Microseconds())}, &blobs, &bytes)
	return blobs, bytes, err
}

// ListMarked returns up to limit marked blobs in the order of their ids, beginning
// after an id.
func (s *Store) ListMarked(ctx context.Context, after int64, limit int) ([]BlobRow, error) {
	return list(ctx, s.read, "ListMarked", (*BlobRow).fields, arg("after", after), arg("limit", limit))
}

// ListObjects returns up to limit blobs of a storage, marked or not, in the order of
// their keys, beginning after a key.
func (s *Store) ListObjects(ctx context.Context, storageID int64, after string, limit int) ([]BlobRow, error) {
	return list(ctx, s.read, "ListObjects", (*BlobRow).fields, arg("storage_id", storageID), arg("after", after), arg("limit", limit))
}

// CondemnObject records an object that no row names as a marked blob. It returns
// proget.ErrConflict if a row names the object by now.
func (s *Store) CondemnObject(ctx context.Context, storageID int64, key string, size int64) error {
	_, err := run(ctx, s.write, "CondemnObject", arg("storage_id", storageID), arg("storage_key", key), arg("size", size))
	return err
}

// DeleteBlobs deletes the rows of marked blobs whose objects have been deleted.
func (s *Store) DeleteBlobs(ctx context.Context, ids []int64) error {
	return s.Tx(ctx, func(tx *Tx) error {
		for _, id := range ids {
			if _, err := tx.run(ctx, "DeleteBlob", arg("blob_id", id)); err != nil {
				return err
			}
		}
		return nil
	})
}
