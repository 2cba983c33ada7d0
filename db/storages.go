package db

import (
	"context"
	"database/sql"
	"strings"

	"github.com/proget-go/ha/proget"
)

// ListStorages returns all storages by id; the first is the one that servers are
// started with. An administrator determines their number, which is small.
func (s *Store) ListStorages(ctx context.Context) ([]proget.Storage, error) {
	return list(ctx, s.read, "ListStorages", func(st *proget.Storage) []any {
		return []any{&st.ID, &st.Name, &st.URL, &st.Probe, (*instant)(&st.Created)}
	})
}

// CreateStorage adds a storage within a change of the system feed and sets st.ID. If
// another storage has the name, the error leaves the store as proget.ErrConflict.
func (tx *Tx) CreateStorage(ctx context.Context, st *proget.Storage) error {
	return tx.one(ctx, "InsertStorage", []sql.NamedArg{arg("name", st.Name), arg("name_key", strings.ToLower(st.Name)),
		arg("url", st.URL), arg("probe", st.Probe)}, &st.ID)
}

// DeleteStorage removes a storage other than the first, within a change of the system
// feed, and forgets the blobs in it to which nothing refers. It returns
// proget.ErrConflict if the storage is in use, and proget.ErrNotFound if there is none.
// Its id is not reused.
func (tx *Tx) DeleteStorage(ctx context.Context, id int64) error {
	var feeds, files, uploads int64
	storage := arg("storage_id", id)
	if err := tx.one(ctx, "StorageUse", []sql.NamedArg{storage}, &feeds, &files, &uploads); err != nil {
		return err
	}
	switch {
	case feeds > 0:
		return proget.Errorf(proget.ErrConflict, "Feeds keep their files in this storage: give them another one in their settings first.")
	case files > 0:
		return proget.Errorf(proget.ErrConflict, "Files of feeds are still in this storage: wait until the jobs that move them are done.")
	case uploads > 0:
		return proget.Errorf(proget.ErrConflict, "There are unfinished uploads to this storage: wait until they are finished or discarded.")
	}
	for _, query := range []string{"MoveDeletedFeeds", "DeleteUnusedBlobs"} {
		if _, err := tx.run(ctx, query, storage); err != nil {
			return err
		}
	}
	n, err := tx.run(ctx, "DeleteStorage", storage)
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrNotFound, "There is no such storage.")
	}
	return err
}
