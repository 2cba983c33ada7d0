package db

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
)

// A BlobRow is a stored blob as its keepers see it.
type BlobRow struct {
	ID         int64
	SHA256     string // hex
	Size       int64
	StorageKey string
}

// ListBlobs returns up to limit blobs in the order of their ids, beginning
// after an id.
func (s *Store) ListBlobs(ctx context.Context, after int64, limit int) ([]BlobRow, error) {
	var blobs []BlobRow
	err := s.read(ctx, func(c *conn) error {
		blobs = nil
		return c.each(ctx, "ListBlobs", []sql.NamedArg{arg("after", after), arg("limit", limit)},
			func(rows *sql.Rows) error {
				var b BlobRow
				err := rows.Scan(&b.ID, &b.SHA256, &b.Size, &b.StorageKey)
				blobs = append(blobs, b)
				return err
			})
	})
	return blobs, err
}

// CountBlobs returns the number of blobs and their bytes.
func (s *Store) CountBlobs(ctx context.Context) (count, bytes int64, err error) {
	err = s.read(ctx, func(c *conn) error { return c.one(ctx, "CountBlobs", nil, &count, &bytes) })
	return count, bytes, err
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
