package upkeep

import (
	"context"
	"iter"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/storage"
)

// A Pair is what storage and database have under one key. Object is nil if storage has
// none, Row if the database has none.
type Pair struct {
	Object *storage.Object
	Row    *db.BlobRow
}

// Compare yields the blobs of one storage, from storage and database, in the order of
// their keys and with little memory. It does not read both sides at one moment: of what
// is written or deleted meanwhile, either side may be missing.
func Compare(ctx context.Context, store *db.Store, blobs *storage.Store, storageID int64) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		rows, stop := iter.Pull2(listRows(ctx, store, storageID))
		defer stop()
		row, failed, more := rows()
		for object, err := range blobs.List(ctx, storage.BlobPrefix) {
			if err != nil {
				yield(Pair{}, err)
				return
			}
			for more && failed == nil && row.StorageKey < object.Key {
				lost := row
				if !yield(Pair{Row: &lost}, nil) {
					return
				}
				row, failed, more = rows()
			}
			if failed != nil {
				yield(Pair{}, failed)
				return
			}
			pair := Pair{Object: &object}
			if more && row.StorageKey == object.Key {
				known := row
				pair.Row = &known
				row, failed, more = rows()
			}
			if !yield(pair, nil) {
				return
			}
		}
		for ; more; row, failed, more = rows() {
			lost := row
			if !yield(Pair{Row: &lost}, failed) || failed != nil {
				return
			}
		}
	}
}

// rowsAtOnce is a page of rows.
const rowsAtOnce = 1000

// listRows yields all blobs of a storage in the order of keys.
func listRows(ctx context.Context, store *db.Store, storageID int64) iter.Seq2[db.BlobRow, error] {
	return func(yield func(db.BlobRow, error) bool) {
		for after := ""; ; {
			page, err := store.ListObjects(ctx, storageID, after, rowsAtOnce)
			if err != nil {
				yield(db.BlobRow{}, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
				after = row.StorageKey
			}
			if len(page) < rowsAtOnce {
				return
			}
		}
	}
}
