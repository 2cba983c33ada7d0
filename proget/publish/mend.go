package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// examine returns as fault what is wrong with the object of a stored file that has the
// upload's bytes, if it is missing or damaged. The upload then takes its place;
// otherwise the only good copy would be discarded as a duplicate.
func (p *recording) examine(ctx context.Context, f proget.File) (fault, err error) {
	if f.StorageID == p.upload.Feed.StorageID && f.StorageKey == p.blob.Key {
		return nil, nil
	}
	blobs, err := p.Publisher.blobs.Store(ctx, f.StorageID)
	if err == nil {
		err = blobs.Verify(ctx, storage.Blob{Key: f.StorageKey, Size: f.Size, Digests: f.Digests}, nil)
	}
	if errors.Is(err, proget.ErrNotFound) || errors.Is(err, storage.ErrDamaged) {
		return err, nil
	}
	if err != nil {
		return nil, fmt.Errorf("verify the stored file of the same bytes: %w", err)
	}
	return nil, nil
}

// mend is called when an upload was not recorded. If that is because the version has
// the same file already, byte for byte, whose object is missing or damaged, the upload
// takes its place, or an older copy of it that is whole. The log tells all nodes. mend
// returns the key of the new object, or "" if it has changed nothing.
func (p *recording) mend(ctx context.Context, r *record) (key string, err error) {
	f, err := p.present(ctx, r)
	if err != nil || f.Name == "" {
		return "", err
	}
	fault := p.fault
	if b := p.known.Blob; b.ID == 0 || f.StorageID != b.StorageID || f.StorageKey != b.StorageKey {
		fault, err = p.examine(ctx, f)
	}
	if err != nil || fault == nil {
		return "", err
	}
	_, err = p.db.Change(ctx, change(r.ref, proget.VersionEdited, p.upload.By), func(tx *db.Tx) error {
		if err := p.inTime(); err != nil {
			return err
		}
		v, now, err := p.same(ctx, tx, r)
		if err != nil {
			return err
		}
		if now.StorageID != f.StorageID || now.StorageKey != f.StorageKey {
			return errOther
		}
		key, err = tx.MendFile(ctx, v, f.Name, p.upload.Feed.StorageID, p.blob.Key, p.known)
		return err
	})
	if errors.Is(err, errOther) { // deleted, replaced or mended meanwhile
		return "", nil
	}
	if err != nil {
		return "", &recordError{fmt.Errorf("mend the file %s of %s %s: %w", f.Name, r.Name, r.Version, err)}
	}
	p.used = key == p.blob.Key
	p.warn(ctx, f.StorageKey, fault)
	return key, nil
}

// errOther means that a version does not have the upload's file, or not in the object
// that was examined.
var errOther = errors.New("the version does not have this file")

// present returns the version's file that has the name and the bytes of the upload, or
// one without a name if there is none.
func (p *recording) present(ctx context.Context, r *record) (f proget.File, err error) {
	err = p.db.Tx(ctx, func(tx *db.Tx) error {
		_, f, err = p.same(ctx, tx, r)
		return err
	})
	if errors.Is(err, errOther) {
		return proget.File{}, nil
	}
	return f, err
}

// same finds and locks the version, and finds its file that has the name and the bytes
// of the upload. It returns errOther if there is none.
func (p *recording) same(ctx context.Context, tx *db.Tx, r *record) (db.VersionRow, proget.File, error) {
	v, err := tx.FindVersion(ctx, r.ref.Feed.ID, r.ref.NameKey, r.ref.VersionKey)
	var f proget.File
	if err == nil {
		f, err = tx.FindFile(ctx, v.ID, r.FileName)
	}
	if errors.Is(err, proget.ErrNotFound) || err == nil && (f.Size != p.blob.Size || f.Digests[proget.SHA256] != p.blob.Digests[proget.SHA256]) {
		err = errOther
	}
	return v, f, err
}

// warn logs that a whole object is used instead of a damaged one.
func (p *recording) warn(ctx context.Context, key string, fault error) {
	what := "a stored file was missing or damaged; a whole copy of its bytes took its place"
	if p.upload.Stored != nil {
		what = "a stored file is missing or damaged; this version uses the same bytes, just uploaded; the check of stored files will repair others"
	}
	p.log.WarnContext(ctx, what, "key", key, "error", fault)
}
