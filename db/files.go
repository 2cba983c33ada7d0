package db

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strings"

	"github.com/proget-go/ha/proget"
)

// JoinVersion adds a file to a version that FindVersion has locked. It sets the file's
// time and storage key as AddVersion does. If the version has a file of that name, the
// error matches ErrFileExists.
func (tx *Tx) JoinVersion(ctx context.Context, v VersionRow, f *proget.File, aliases []string, known *Upload) error {
	var same int64
	if err := tx.one(ctx, "CountFile", []sql.NamedArg{arg("version_id", v.ID), arg("file_key", strings.ToLower(f.Name))}, &same, (*instant)(&f.Added)); err != nil {
		return err
	}
	if same > 0 {
		return fileExists(f.Name)
	}
	return tx.addFile(ctx, v.ID, f, aliases, known)
}

// addAliases adds other names for a file. The table file_alias has in searchable form
// what package_file lists.
func (tx *Tx) addAliases(ctx context.Context, versionID int64, fileName string, aliases []string) error {
	for _, alias := range aliases {
		if _, err := tx.run(ctx, "InsertAlias", arg("version_id", versionID), arg("file_key", strings.ToLower(fileName)), arg("alias", alias)); err != nil {
			return err
		}
	}
	return nil
}

// FindAlias returns the keys and name of the newest file that has an alias, or
// proget.ErrNotFound. It returns a file of a blocked version only if there is no other.
func (s *Store) FindAlias(ctx context.Context, feedID int64, alias string) (nameKey, versionKey, fileName string, err error) {
	err = one(ctx, s.read, "FindAlias", []sql.NamedArg{arg("feed_id", feedID), arg("alias", alias)}, &nameKey, &versionKey, &fileName)
	return nameKey, versionKey, fileName, err
}

// FindFile returns a version's file by name, without regard to case, or
// proget.ErrNotFound.
func (tx *Tx) FindFile(ctx context.Context, versionID int64, name string) (proget.File, error) {
	var f proget.File
	var sha256, data string
	err := tx.one(ctx, "FindFile", []sql.NamedArg{arg("version_id", versionID), arg("file_key", strings.ToLower(name))},
		&f.Name, &f.Size, &sha256, &f.StorageID, &f.StorageKey, &data, (*instant)(&f.Added))
	if errors.Is(err, proget.ErrNotFound) {
		return f, proget.Errorf(proget.ErrNotFound, "There is no file %.200s.", name)
	}
	f.Digests, f.Data = proget.Digests{proget.SHA256: sha256}, rawOrNil(data)
	return f, err
}

// CountFiles returns the number of a version's files.
func (tx *Tx) CountFiles(ctx context.Context, versionID int64) (n int64, err error) {
	err = tx.one(ctx, "CountFiles", []sql.NamedArg{arg("version_id", versionID)}, &n)
	return n, err
}

// DeleteFile removes a file of a version. It cannot be restored.
func (tx *Tx) DeleteFile(ctx context.Context, versionID int64, name string) error {
	named := []sql.NamedArg{arg("version_id", versionID), arg("file_key", strings.ToLower(name))}
	for _, query := range []string{"TouchFileBlob", "DeleteFile"} {
		if _, err := tx.run(ctx, query, named...); err != nil {
			return err
		}
	}
	return nil
}

// MendFile makes a file of a version that FindVersion has locked refer to the object at
// key in a storage, which has the same bytes: for the file's own is missing or damaged.
// known is what FindUpload found for the bytes. If their blob is damaged, too, the
// object takes its place, for every version that refers to it. MendFile returns the key
// of the object that the file refers to then, which is that of known's blob if it is
// whole.
func (tx *Tx) MendFile(ctx context.Context, v VersionRow, name string, storageID int64, key string, known *Upload) (string, error) {
	named := []sql.NamedArg{arg("version_id", v.ID), arg("file_key", strings.ToLower(name))}
	if _, err := tx.run(ctx, "TouchFileBlob", named...); err != nil { // its grace period begins now
		return "", err
	}
	var err error
	switch {
	case known.Stored:
	case known.Mend:
		err = tx.replaceObject(ctx, known.Blob, key)
	case known.Blob.ID != 0:
		key = known.Blob.StorageKey
	default:
		_, err = tx.run(ctx, "CopyFileBlob", append(named, arg("storage_id", storageID), arg("storage_key", key))...)
		err = tx.unrecorded(err)
	}
	if err != nil {
		return "", err
	}
	object := []sql.NamedArg{arg("storage_id", storageID), arg("storage_key", key)}
	n, err := tx.run(ctx, "TouchObject", object...)
	if err == nil && n == 0 { // known is out of date
		err = proget.Errorf(proget.ErrUnavailable, "The stored file has changed meanwhile: send it again.")
	}
	if err == nil {
		_, err = tx.run(ctx, "PointFile", append(named, object...)...)
	}
	return key, err
}

func fileExists(name string) error {
	return &conflict{proget.Errorf(proget.ErrConflict, "There is a file %s already.", name), ErrFileExists}
}

// distinct returns an error if two files have the same name.
func distinct(files []proget.File) error {
	names := make(map[string]bool)
	for _, f := range files {
		key := strings.ToLower(f.Name)
		if names[key] {
			return fileExists(f.Name)
		}
		names[key] = true
	}
	return nil
}

// addFile adds a file whose bytes may be stored already. known is what FindUpload found
// for it, or nil.
func (tx *Tx) addFile(ctx context.Context, versionID int64, f *proget.File, aliases []string, known *Upload) error {
	fresh, window := false, int64(math.MaxInt64)
	if known == nil {
		known = new(Upload)
	} else {
		fresh, window = known.Blob.ID == 0 && tx.attempt == 1, RecordWithin.Microseconds()
	}
	object := "" // any that has the bytes
	if known.Mend && known.Stored {
		object = f.StorageKey
	} else if known.Mend {
		if err := tx.replaceObject(ctx, known.Blob, f.StorageKey); err != nil {
			return err
		}
	}
	args := fileArgs(versionID, f, aliases)
	if !fresh {
		err := tx.one(ctx, "ReuseBlob", append(args, arg("object", object)), &f.StorageKey)
		if err == nil {
			return tx.addAliases(ctx, versionID, f.Name, aliases)
		}
		if !errors.Is(err, proget.ErrNotFound) {
			return err
		}
	}
	if f.StorageKey == "" {
		return proget.Errorf(proget.ErrNotFound, "The file sha256:%s, which the version refers to, is no longer stored: upload it again.", f.Digests[proget.SHA256])
	}
	n, err := tx.run(ctx, "InsertBlob", append(args, arg("storage_key", f.StorageKey), arg("window", window), arg("asked", known.asked))...)
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrUnavailable, "The upload could not be recorded within %s. Send it again.", RecordWithin)
	}
	if err != nil {
		return tx.unrecorded(err) // not because of the file's name, which the version does not have yet
	}
	return tx.addAliases(ctx, versionID, f.Name, aliases)
}

func fileArgs(versionID int64, f *proget.File, aliases []string) []sql.NamedArg {
	return append(digestArgs(f), arg("version_id", versionID), arg("file_name", f.Name), arg("file_key", strings.ToLower(f.Name)),
		arg("size", f.Size), arg("storage_id", f.StorageID), arg("data", string(f.Data)),
		arg("aliases", strings.Join(aliases, "\n")), arg("added", f.Added.UnixMicro()))
}

func digestArgs(f *proget.File) []sql.NamedArg {
	digest := func(a proget.Algorithm) sql.NullString {
		return sql.NullString{String: f.Digests[a], Valid: f.Digests[a] != ""}
	}
	return []sql.NamedArg{arg("sha256", f.Digests[proget.SHA256]), arg("sha1", digest(proget.SHA1)),
		arg("md5", digest(proget.MD5)), arg("sha512", digest(proget.SHA512))}
}
