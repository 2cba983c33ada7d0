package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/proget-go/ha/proget"
)

// ListDeleted returns up to limit deleted versions of a feed with ids below before,
// newest first; 0 begins with the newest.
func (s *Store) ListDeleted(ctx context.Context, feedID, before int64, limit int) ([]proget.Deletion, error) {
	if before == 0 {
		before = 1 << 62
	}
	return list(ctx, s.read, "ListDeleted", func(d *proget.Deletion) []any {
		return []any{&d.ID, &d.PackageKey, &d.VersionKey, &d.Name, &d.Version, (*instant)(&d.At), &d.By, (*lines)(&d.Tags)}
	}, arg("feed_id", feedID), arg("before", before), arg("limit", limit))
}

// RestoreVersion restores a deleted version as it was, with those of its tags that no
// other version has by now. It returns the version, the package's key and whether it
// had to create the package again. It returns proget.ErrNotFound if the deleted version
// or one of its files is gone, and a unique violation, which leaves the store as
// proget.ErrConflict, if that version exists again.
func (tx *Tx) RestoreVersion(ctx context.Context, feedID, deletionID int64) (v *proget.Version, packageKey string, created bool, err error) {
	var aliases [][]string
	v, packageKey, err = tx.findDeleted(ctx, feedID, deletionID)
	if err == nil {
		v.Files, aliases, err = tx.findDeletedFiles(ctx, deletionID)
	}
	if err != nil {
		return nil, "", false, err
	}
	status, published := v.Status, v.Published
	if created, err = tx.addFirstVersion(ctx, feedID, packageKey, v); err != nil {
		return nil, "", false, err
	}
	v.Status, v.Published = status, published
	for i := range v.Files {
		if err := tx.restoreFile(ctx, v.ID, &v.Files[i], aliases[i]); err != nil {
			return nil, "", false, err
		}
	}
	if _, err := tx.run(ctx, "SetRestored", arg("version_id", v.ID), arg("listed", flag(status.Listed)), arg("deprecated", status.Deprecated),
		arg("blocked", flag(status.Blocked)), arg("published", published.UnixMicro()), arg("downloads", v.Downloads)); err != nil {
		return nil, "", false, err
	}
	if _, err := tx.run(ctx, "RestoreTags", arg("package_id", v.PackageID), arg("restored", v.ID), arg("version_id", deletionID)); err != nil {
		return nil, "", false, err
	}
	return v, packageKey, created, tx.forgetDeleted(ctx, deletionID)
}

func (tx *Tx) findDeleted(ctx context.Context, feedID, deletionID int64) (*proget.Version, string, error) {
	v := new(proget.Version)
	var key, manifest string
	id := arg("version_id", deletionID)
	err := tx.one(ctx, "FindDeleted", []sql.NamedArg{arg("feed_id", feedID), id}, &key, &v.Key, &v.Name, &v.Version, &v.Prerelease,
		&v.Status.Listed, &v.Status.Deprecated, &v.Status.Blocked, &manifest, (*instant)(&v.Published), &v.PublishedBy, &v.Downloads)
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.Errorf(proget.ErrNotFound, "There is no such deleted version: it was brought back, or is gone for good.")
	}
	if err != nil {
		return nil, "", err
	}
	v.Manifest = []byte(manifest)
	return v, key, nil
}

func (tx *Tx) findDeletedFiles(ctx context.Context, deletionID int64) (files []proget.File, aliases [][]string, err error) {
	err = tx.each(ctx, "FindDeletedFiles", []sql.NamedArg{arg("version_id", deletionID)}, func(rows *sql.Rows) error {
		var f proget.File
		var sha256, data string
		var names []string
		err := rows.Scan(&f.Name, &f.Size, &sha256, &f.StorageID, &data, (*lines)(&names), (*instant)(&f.Added))
		f.Digests, f.Data = proget.Digests{proget.SHA256: sha256}, rawOrNil(data)
		files = append(files, f)
		aliases = append(aliases, names)
		return err
	})
	return files, aliases, err
}

// FindDeletedFile returns the newest file of that name of a package's deleted versions
// that are not blocked, or proget.ErrNotFound. It has no storage key, as its bytes may be
// gone.
func (s *Store) FindDeletedFile(ctx context.Context, feedID int64, packageKey, name string) (f proget.File, err error) {
	var sha256 string
	err = one(ctx, s.read, "FindDeletedFile", []sql.NamedArg{arg("feed_id", feedID), arg("package_key", packageKey), arg("name", name)},
		&f.Name, &f.Size, &sha256, &f.StorageID)
	f.Digests = proget.Digests{proget.SHA256: sha256}
	return f, err
}

// restoreFile adds a file whose bytes should still be stored.
func (tx *Tx) restoreFile(ctx context.Context, versionID int64, f *proget.File, aliases []string) error {
	err := tx.one(ctx, "ReuseBlob", append(fileArgs(versionID, f, aliases), arg("object", "")), &f.StorageKey)
	if errors.Is(err, proget.ErrNotFound) {
		return proget.Errorf(proget.ErrNotFound, "The file %s of this version has been removed from storage for good.", f.Name)
	}
	if err != nil {
		return err
	}
	return tx.addAliases(ctx, versionID, f.Name, aliases)
}

func (tx *Tx) forgetDeleted(ctx context.Context, id int64) error {
	if _, err := tx.run(ctx, "ForgetDeletedFiles", arg("version_id", id)); err != nil {
		return err
	}
	n, err := tx.run(ctx, "ForgetDeleted", arg("version_id", id))
	if err == nil && n == 0 {
		err = ErrTryAgain // another transaction has just restored it
	}
	return err
}

// purgedAtOnce limits how many items one transaction purges.
const purgedAtOnce = 500

// PurgeDeleted forgets some of the versions that were deleted longer ago than
// olderThan, and returns how many; 0 means that none is left.
func (s *Store) PurgeDeleted(ctx context.Context, olderThan time.Duration) (n int64, err error) {
	err = s.Tx(ctx, func(tx *Tx) error {
		ids, err := collect(ctx, &tx.conn, "ListOldDeleted", column[int64], arg("older_than", olderThan.Microseconds()), arg("limit", purgedAtOnce))
		if err != nil {
			return err
		}
		n = int64(len(ids))
		for _, id := range ids {
			if err := tx.forgetDeleted(ctx, id); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
