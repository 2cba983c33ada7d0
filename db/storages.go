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

// ForgetBlobs forgets the blobs of a storage to which nothing refers, some in each
// transaction, so that DeleteStorage has few left. It returns the same errors.
func (s *Store) ForgetBlobs(ctx context.Context, storageID int64) error {
	after := ""
	for {
		var upto string
		err := s.Tx(ctx, func(tx *Tx) (err error) {
			if after == "" {
				if err := tx.unused(ctx, storageID); err != nil {
					return err
				}
			}
			upto, err = tx.forgetBlobs(ctx, storageID, after)
			return err
		})
		if err != nil || upto == "" {
			return err
		}
		after = upto
	}
}

// DeleteStorage removes a storage other than the first, within a change of the system
// feed, and forgets the blobs in it to which nothing refers. It returns
// proget.ErrConflict if the storage is in use, and proget.ErrNotFound if there is none.
// Its id is not reused.
func (tx *Tx) DeleteStorage(ctx context.Context, id int64) error {
	if err := tx.unused(ctx, id); err != nil {
		return err
	}
	storage := arg("storage_id", id)
	if _, err := tx.run(ctx, "MoveDeletedFeeds", storage); err != nil {
		return err
	}
	for after := ""; ; {
		upto, err := tx.forgetBlobs(ctx, id, after)
		if err != nil {
			return err
		}
		if upto == "" {
			break
		}
		after = upto
	}
	n, err := tx.run(ctx, "DeleteStorage", storage)
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrNotFound, "There is no such storage.")
	}
	return err
}

// unused returns proget.ErrConflict if a storage is in use.
func (tx *Tx) unused(ctx context.Context, storageID int64) error {
	var feeds, files, uploads int64
	if err := tx.one(ctx, "StorageUse", []sql.NamedArg{arg("storage_id", storageID)}, &feeds, &files, &uploads); err != nil {
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
	return nil
}

// forgetBlobs forgets those to which nothing refers among the next blobs of a storage,
// in the order of their keys. It returns the last key, or "" if there are no more.
func (tx *Tx) forgetBlobs(ctx context.Context, storageID int64, after string) (upto string, err error) {
	storage, from := arg("storage_id", storageID), arg("after", after)
	blobs, err := collect(ctx, &tx.conn, "ListObjects", (*BlobRow).fields, storage, from, arg("limit", purgedAtOnce))
	if err != nil || len(blobs) == 0 {
		return "", err
	}
	upto = blobs[len(blobs)-1].StorageKey
	_, err = tx.run(ctx, "DeleteUnusedBlobs", storage, from, arg("upto", upto))
	return upto, err
}
