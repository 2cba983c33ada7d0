package db

import (
	"context"
	"database/sql"
	"strings"

	"github.com/proget-go/ha/proget"
)

// ListStorages returns all storages by id; the first is the one that servers
// are started with. Their number is an administrator's choice and small.
func (s *Store) ListStorages(ctx context.Context) ([]proget.Storage, error) {
	return list(ctx, s.read, "ListStorages", func(st *proget.Storage) []any {
		return []any{&st.ID, &st.Name, &st.URL, &st.Probe, (*instant)(&st.Created)}
	})
}

// CreateStorage adds a storage within a change of the system feed and sets
// st.ID. A name that another storage has leaves the store as proget.ErrConflict.
func (tx *Tx) CreateStorage(ctx context.Context, st *proget.Storage) error {
	return tx.one(ctx, "InsertStorage", []sql.NamedArg{arg("name", st.Name), arg("name_key", strings.ToLower(st.Name)),
		arg("url", st.URL), arg("probe", st.Probe)}, &st.ID)
}

// DeleteStorage removes a storage, but for the first, within a change of the system
// feed, and forgets what is kept there for nobody. It returns proget.ErrConflict for
// one that is in use, and proget.ErrNotFound for one that is not there. Its number is
// not given to another.
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
		return proget.Errorf(proget.ErrConflict, "Uploads to this storage have begun: wait until they have ended or are given up.")
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

// A MisplacedFile is a file of a version that is not in its feed's storage.
type MisplacedFile struct {
	FileID     int64
	FeedID     int64
	StorageID  int64 // where it belongs
	PackageKey string
	VersionKey string
	Blob       BlobRow // where it is
}

// LastFile returns the greatest id of a file.
func (s *Store) LastFile(ctx context.Context) (id int64, err error) {
	err = s.read(ctx, func(c *conn) error { return c.one(ctx, "LastFile", nil, &id) })
	return id, err
}

// ListMisplaced returns the files with ids after one and up to another that are
// not in their feed's storage.
func (s *Store) ListMisplaced(ctx context.Context, after, upto int64) ([]MisplacedFile, error) {
	return list(ctx, s.read, "ListMisplaced", (*MisplacedFile).fields, arg("after", after), arg("upto", upto))
}

func (f *MisplacedFile) fields() []any {
	return append([]any{&f.FileID, &f.FeedID, &f.StorageID, &f.PackageKey, &f.VersionKey}, f.Blob.fields()...)
}

// MoveFile makes a file refer to the blob of the same bytes in the storage where
// it belongs. If there is none, and key is not "", the object at key becomes it.
// It returns whether that was so, and proget.ErrNotFound if there is neither. That
// the file is gone, or was moved already, is as good.
func (tx *Tx) MoveFile(ctx context.Context, f MisplacedFile, key string) (used bool, err error) {
	identity := []sql.NamedArg{arg("sha256", f.Blob.SHA256), arg("size", f.Blob.Size), arg("storage_id", f.StorageID)}
	if _, err := tx.run(ctx, "TouchBlob", arg("blob_id", f.Blob.ID)); err != nil { // its grace begins now
		return false, err
	}
	n, err := tx.run(ctx, "TouchCopy", identity...)
	if err == nil && n == 0 && key != "" {
		used = true
		n, err = tx.run(ctx, "InsertCopy", arg("blob_id", f.Blob.ID), arg("storage_id", f.StorageID), arg("storage_key", key))
	}
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrNotFound, "The bytes of the file are not in its feed's storage.")
	}
	if err == nil {
		_, err = tx.run(ctx, "MoveFile", append(identity, arg("file_id", f.FileID), arg("blob_id", f.Blob.ID))...)
	}
	return used, err
}
