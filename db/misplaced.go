package db

import (
	"context"
	"database/sql"
	"errors"

	"github.com/proget-go/ha/proget"
)

// A MisplacedFile is a version's file that is not in its feed's storage.
type MisplacedFile struct {
	FileID     int64
	FeedID     int64
	StorageID  int64 // of the feed, where the file belongs
	PackageKey string
	VersionKey string
	Blob       BlobRow // where the file is
}

// LastFile returns the greatest id of a file.
func (s *Store) LastFile(ctx context.Context) (id int64, err error) {
	err = one(ctx, s.read, "LastFile", nil, &id)
	return id, err
}

// ListMisplaced returns the files with ids greater than after, up to upto, that are not
// in their feed's storage.
func (s *Store) ListMisplaced(ctx context.Context, after, upto int64) ([]MisplacedFile, error) {
	return list(ctx, s.read, "ListMisplaced", (*MisplacedFile).fields, arg("after", after), arg("upto", upto))
}

func (f *MisplacedFile) fields() []any {
	return append([]any{&f.FileID, &f.FeedID, &f.StorageID, &f.PackageKey, &f.VersionKey}, f.Blob.fields()...)
}

// MoveFile makes a file refer to the blob with the same bytes in the storage where it
// belongs. If there is none, and key is not "", the object at key becomes that blob,
// and MoveFile returns true. It returns proget.ErrNotFound if there is neither, and no
// error if the file is gone or has already been moved.
func (tx *Tx) MoveFile(ctx context.Context, f MisplacedFile, key string) (used bool, err error) {
	identity := []sql.NamedArg{arg("sha256", f.Blob.SHA256), arg("size", f.Blob.Size), arg("storage_id", f.StorageID)}
	if _, err := tx.run(ctx, "TouchBlob", arg("blob_id", f.Blob.ID)); err != nil { // its grace period begins now
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

// ErrOtherStorage means that a file was not moved because its feed has another storage
// by now.
var ErrOtherStorage = errors.New("the feed has another storage by now")

// HoldStorage is meant for the Check of a Change that moves a file: it locks the feed's
// row until the transaction ends, or returns ErrOtherStorage. So whoever gives the feed
// another storage sees all files that were moved before, and none comes after.
func (tx *Tx) HoldStorage(ctx context.Context, f MisplacedFile) error {
	n, err := tx.run(ctx, "LockFeedStorage", arg("feed_id", f.FeedID), arg("storage_id", f.StorageID))
	if err == nil && n == 0 {
		err = ErrOtherStorage
	}
	return err
}
