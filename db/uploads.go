package db

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

// A Partial is an upload that arrives in parts.
type Partial struct {
	Key       string // unique in the installation
	StorageID int64  // of the storage of its parts
	Size      int64  // total bytes of the parts appended in order
	Sums      string // checksums of these bytes in the caller's format; begins with FinishedMark once they cover all
	Owner     string
	Touched   time.Time
}

// FinishedMark begins the Sums of a finished upload, to which AppendPart and PutPart add
// nothing.
const FinishedMark = "="

// A Part is one stored part of an upload.
type Part struct {
	Offset int64 // of its first byte in the upload
	Blob   BlobRow
}

func (p *Part) fields() []any { return append([]any{&p.Offset}, p.Blob.fields()...) }

// CreatePartial begins an upload, or returns proget.ErrConflict if its key is in use.
func (s *Store) CreatePartial(ctx context.Context, p *Partial) error {
	_, err := run(ctx, s.write, "InsertUpload", arg("upload_key", p.Key), arg("storage_id", p.StorageID), arg("size", 0), arg("sums", p.Sums), arg("owner", p.Owner))
	return err
}

// BeginPartial begins an upload together with its first part, at offset 0; p.Sums
// covers that part. It returns proget.ErrStale if the upload's key is in use. It may be
// repeated.
func (s *Store) BeginPartial(ctx context.Context, p *Partial, part Part) error {
	return s.Tx(ctx, func(tx *Tx) error {
		if tx.attempt > 1 {
			switch err := tx.findPartial(ctx, &Partial{Key: p.Key}); {
			case err == nil:
				return tx.begun(ctx, p.Key, part)
			case !errors.Is(err, proget.ErrNotFound):
				return err
			}
		}
		if err := tx.insertUpload(ctx, p, part.Blob.Size); err != nil {
			return err
		}
		return tx.insertPart(ctx, p.Key, part)
	})
}

// begun returns nil if an earlier attempt began the upload, and proget.ErrStale if
// another client did.
func (tx *Tx) begun(ctx context.Context, key string, part Part) error {
	known, err := tx.hasPart(ctx, key, part)
	if err == nil && !known {
		err = proget.Errorf(proget.ErrStale, "the upload has begun")
	}
	return err
}

// HoldBlob keeps the blob with p's size and a digest for as long as uploads are kept,
// as if it were the only part of the upload p. It returns proget.ErrNotFound if p's
// storage has no such blob, or another is held under p's key. It may be repeated.
func (s *Store) HoldBlob(ctx context.Context, p *Partial, sha256 string) error {
	none := proget.Errorf(proget.ErrNotFound, "There is no file sha256:%s of %d bytes here.", sha256, p.Size)
	return s.Tx(ctx, func(tx *Tx) error {
		known, err := tx.lockUpload(ctx, p.Key)
		if err != nil {
			return err
		}
		if known { // do not lock the blob: a transaction that holds it may be about to begin p, and wait for this one
			b, err := tx.findHeld(ctx, p.Key)
			if err == nil && (b.SHA256 != sha256 || b.Size != p.Size || b.StorageID != p.StorageID) {
				err = none
			}
			return err
		}
		n, err := tx.run(ctx, "TouchCopy", arg("sha256", sha256), arg("size", p.Size), arg("storage_id", p.StorageID))
		if err == nil && n == 0 {
			err = none
		}
		if err == nil {
			err = tx.insertUpload(ctx, p, p.Size)
		}
		if err != nil {
			return err
		}
		_, err = tx.run(ctx, "HoldBlob", arg("upload_key", p.Key), arg("storage_id", p.StorageID), arg("size", p.Size), arg("sha256", sha256))
		return err
	})
}

// insertUpload begins an upload that will have one part of the given size.
func (tx *Tx) insertUpload(ctx context.Context, p *Partial, size int64) error {
	return tx.insert(ctx, "InsertUpload", arg("upload_key", p.Key), arg("storage_id", p.StorageID), arg("size", size), arg("sums", p.Sums), arg("owner", p.Owner))
}

// lockUpload locks an upload, and reports whether it exists.
func (tx *Tx) lockUpload(ctx context.Context, key string) (known bool, err error) {
	n, err := tx.run(ctx, "LockUpload", arg("upload_key", key))
	return n > 0, err
}

// FindPartial returns an upload, or proget.ErrNotFound.
func (s *Store) FindPartial(ctx context.Context, key string) (*Partial, error) {
	p := &Partial{Key: key}
	return p, s.read(ctx, func(c *conn) error { return c.findPartial(ctx, p) })
}

// LoadPartial returns an upload and its parts in the order of their offsets, or
// proget.ErrNotFound.
func (s *Store) LoadPartial(ctx context.Context, key string) (*Partial, []Part, error) {
	p := &Partial{Key: key}
	var parts []Part
	err := s.read(ctx, func(c *conn) error {
		err := c.findPartial(ctx, p)
		if err == nil {
			parts, err = collect(ctx, c, "ListParts", (*Part).fields, arg("upload_key", key))
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return p, parts, nil
}

// FindHeld returns the blob that HoldBlob, KeepPartial or KeepWhole holds under a key,
// or proget.ErrNotFound.
func (s *Store) FindHeld(ctx context.Context, key string) (b BlobRow, err error) {
	err = s.read(ctx, func(c *conn) error {
		b, err = c.findHeld(ctx, key)
		return err
	})
	return b, err
}

func (c *conn) findHeld(ctx context.Context, key string) (b BlobRow, err error) {
	err = c.one(ctx, "FindHeld", []sql.NamedArg{arg("upload_key", key)}, b.fields()...)
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.Errorf(proget.ErrNotFound, "There is no such file.")
	}
	return b, err
}

func (c *conn) findPartial(ctx context.Context, p *Partial) error {
	err := c.one(ctx, "FindPartial", []sql.NamedArg{arg("upload_key", p.Key)}, &p.StorageID, &p.Size, &p.Sums, &p.Owner, (*instant)(&p.Touched))
	if errors.Is(err, proget.ErrNotFound) {
		return noPartial()
	}
	return err
}

func noPartial() error {
	return proget.Errorf(proget.ErrNotFound, "There is no such upload: it was finished, was canceled, or expired. Begin again.")
}

// AppendPart records the next part of an upload, together with the checksums of all
// bytes up to its end. It returns proget.ErrNotFound if there is no such upload,
// proget.ErrStale if it is no longer at the part's offset or is finished, and
// proget.ErrInvalid if it already has MaxParts. It may be repeated.
func (s *Store) AppendPart(ctx context.Context, key string, part Part, sums string) error {
	return s.Tx(ctx, func(tx *Tx) error {
		n, err := tx.run(ctx, "AdvanceUpload", arg("upload_key", key), arg("part_offset", part.Offset),
			arg("size", part.Offset+part.Blob.Size), arg("sums", sums))
		if err != nil {
			return err
		}
		if n > 0 {
			return tx.insertPart(ctx, key, part)
		}
		if known, err := tx.hasPart(ctx, key, part); known || err != nil { // an earlier attempt was committed
			return err
		}
		if err := tx.findPartial(ctx, &Partial{Key: key}); err != nil {
			return err
		}
		return proget.Errorf(proget.ErrStale, "the upload is not at offset %d", part.Offset)
	})
}

// ErrPartExists is matched by the error of PutPart if the upload already has another
// part of the same offset and size.
var ErrPartExists = errors.New("the part has arrived already")

// PutPart records a part at any offset. It returns proget.ErrNotFound if there is no
// such upload, an error that matches ErrPartExists if it has another part of the same
// offset and size, proget.ErrStale if it is finished, and proget.ErrInvalid if the part
// overlaps another or the upload already has MaxParts. It may be repeated.
func (s *Store) PutPart(ctx context.Context, key string, part Part) error {
	return s.Tx(ctx, func(tx *Tx) error {
		if known, err := tx.lockUpload(ctx, key); err != nil {
			return err
		} else if !known {
			return noPartial()
		}
		if known, err := tx.hasPart(ctx, key, part); known || err != nil {
			return err
		}
		p := &Partial{Key: key}
		if err := tx.findPartial(ctx, p); err != nil {
			return err
		}
		var overlaps, same int64
		err := tx.one(ctx, "CountOverlaps", []sql.NamedArg{arg("upload_key", key), arg("part_offset", part.Offset), arg("upto", part.Offset+part.Blob.Size)}, &overlaps, &same)
		if err == nil && same > 0 {
			err = &conflict{proget.Errorf(proget.ErrConflict, "This part has arrived already."), ErrPartExists}
		} else if err == nil && strings.HasPrefix(p.Sums, FinishedMark) {
			err = proget.Errorf(proget.ErrStale, "the upload is finished")
		} else if err == nil && overlaps > 0 {
			err = proget.Errorf(proget.ErrInvalid, "The part overlaps one that has arrived: send the bytes that are missing, or begin again under another id.")
		}
		if err != nil {
			return err
		}
		return tx.insertPart(ctx, key, part)
	})
}

func (tx *Tx) hasPart(ctx context.Context, key string, part Part) (bool, error) {
	if tx.attempt == 1 {
		return false, nil
	}
	var n int64
	err := tx.one(ctx, "HasPart", []sql.NamedArg{arg("upload_key", key), arg("storage_id", part.Blob.StorageID), arg("storage_key", part.Blob.StorageKey)}, &n)
	return n > 0, err
}

// MaxParts is the maximum number of parts of one upload. Each part costs an object in
// storage and work when the parts are joined.
const MaxParts = 10_000

// insertPart records the part's object as a blob without a digest, and the part.
func (tx *Tx) insertPart(ctx context.Context, key string, part Part) error {
	if err := tx.adopt(ctx, part.Blob.StorageID, part.Blob.StorageKey, part.Blob.Size); err != nil {
		return err
	}
	return tx.addPart(ctx, key, part)
}

// addPart makes a recorded blob a part of an upload.
func (tx *Tx) addPart(ctx context.Context, key string, part Part) error {
	n, err := tx.run(ctx, "InsertPart", arg("storage_id", part.Blob.StorageID), arg("storage_key", part.Blob.StorageKey),
		arg("upload_key", key), arg("part_offset", part.Offset), arg("max_parts", MaxParts))
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrInvalid, "The upload has %d parts, which is as many as it may have: begin again with larger ones.", MaxParts)
	}
	return err
}

// FinishPartial replaces the parts of an upload by one, the object of f, which holds
// the same bytes; sums must begin with FinishedMark. fresh means that the object is
// none of the parts and has no row yet. The upload remains until DeletePartial, so that
// a client that is interrupted before a version refers to the blob finds it. It returns
// proget.ErrNotFound if there is no such upload. It may be repeated.
func (s *Store) FinishPartial(ctx context.Context, key string, f *proget.File, fresh bool, sums string) error {
	return s.Tx(ctx, func(tx *Tx) error {
		if known, err := tx.lockUpload(ctx, key); err != nil {
			return err
		} else if !known {
			return noPartial()
		}
		part := Part{Blob: BlobRow{StorageID: f.StorageID, StorageKey: f.StorageKey}}
		if done, err := tx.hasPart(ctx, key, part); err != nil || done && fresh { // by an earlier attempt
			return err
		}
		if err := tx.nameBlob(ctx, f, fresh); err != nil {
			return err
		}
		for _, name := range []string{"TouchParts", "DeleteParts"} {
			if _, err := tx.run(ctx, name, arg("upload_key", key)); err != nil {
				return err
			}
		}
		if err := tx.addPart(ctx, key, part); err != nil {
			return err
		}
		_, err := tx.run(ctx, "EndUpload", arg("upload_key", key), arg("size", f.Size), arg("sums", sums))
		return err
	})
}

// KeepPartial does what FinishPartial does, holds the blob as p unless p is held
// already, and deletes the upload, all in one transaction. If an earlier attempt or
// another client has deleted the upload, it returns proget.ErrNotFound; but if f is
// fresh and has a row, an earlier attempt has succeeded, and KeepPartial returns nil.
func (s *Store) KeepPartial(ctx context.Context, key string, f *proget.File, fresh bool, p *Partial) error {
	return s.Tx(ctx, func(tx *Tx) error {
		var known [2]bool
		for i, key := range []string{key, p.Key} {
			var err error
			if known[i], err = tx.lockUpload(ctx, key); err != nil {
				return err
			}
		}
		if !known[0] {
			return tx.keptBefore(ctx, f, fresh)
		}
		if err := tx.nameBlob(ctx, f, fresh); err != nil {
			return err
		}
		if err := tx.forgetPartial(ctx, key); err != nil || known[1] {
			return err
		}
		if err := tx.insertUpload(ctx, p, p.Size); err != nil {
			return err
		}
		return tx.addPart(ctx, p.Key, Part{Blob: BlobRow{StorageID: f.StorageID, StorageKey: f.StorageKey}})
	})
}

// keptBefore returns nil if an earlier attempt has kept the upload, and
// proget.ErrNotFound otherwise. It runs a statement of its own after the upload was
// found to be gone, because a statement that waited for the earlier attempt to end may
// not see its effects.
func (c *conn) keptBefore(ctx context.Context, f *proget.File, fresh bool) error {
	kept, err := c.kept(ctx, f)
	if err == nil && (!fresh || !kept) {
		err = noPartial()
	}
	return err
}

// kept reports whether a blob with f's digest refers to f's object. Garbage collection
// may have recorded the object instead, as a blob to delete.
func (c *conn) kept(ctx context.Context, f *proget.File) (bool, error) {
	var rows int64
	err := c.one(ctx, "CountKept", []sql.NamedArg{arg("storage_id", f.StorageID), arg("storage_key", f.StorageKey), arg("sha256", f.Digests[proget.SHA256])}, &rows)
	return rows > 0, err
}

// KeepWhole records f, whose object has no row yet, as a blob and holds that as p
// unless p is held already: what arrives in one request needs no upload of its own. It
// returns proget.ErrUnavailable if garbage collection has taken the object. It may be
// repeated.
func (s *Store) KeepWhole(ctx context.Context, f *proget.File, p *Partial) error {
	args := append(digestArgs(f), arg("size", f.Size), arg("storage_id", f.StorageID), arg("storage_key", f.StorageKey),
		arg("name", p.Key), arg("owner", p.Owner))
	return s.atomically(ctx, "KeepWhole", func(c *conn) error {
		var made int64
		err := c.one(ctx, "KeepWhole", args, &made)
		if err != nil && s.drv.Classify(err) == driver.Unique {
			return ErrTryAgain // another transaction has just begun to hold it
		}
		if err != nil || made > 0 {
			return err
		}
		kept, err := c.kept(ctx, f) // by an earlier attempt, whose effects the statement may not have seen
		if err == nil && !kept {
			err = proget.Errorf(proget.ErrUnavailable, "The upload could not be recorded in time. Send it again.")
		}
		return err
	})
}

// nameBlob records the digests of the blob whose object is f's; if fresh, that object
// has no row yet.
func (tx *Tx) nameBlob(ctx context.Context, f *proget.File, fresh bool) error {
	at := []sql.NamedArg{arg("storage_id", f.StorageID), arg("storage_key", f.StorageKey)}
	if fresh {
		if err := tx.adopt(ctx, f.StorageID, f.StorageKey, f.Size); err != nil {
			return err
		}
	}
	n, err := tx.run(ctx, "NameBlob", append(at, digestArgs(f)...)...)
	if err == nil && n == 0 {
		err = noPartial()
	}
	return err
}

// DeletePartial deletes an upload. It returns nil if there is none.
func (s *Store) DeletePartial(ctx context.Context, key string) error {
	return s.Tx(ctx, func(tx *Tx) error {
		known, err := tx.lockUpload(ctx, key)
		if err != nil || !known {
			return err
		}
		return tx.forgetPartial(ctx, key)
	})
}

// forgetPartial deletes a locked upload and leaves its parts to garbage collection.
func (tx *Tx) forgetPartial(ctx context.Context, key string) error {
	for _, name := range []string{"TouchParts", "DeleteParts", "DeleteUpload"} {
		if _, err := tx.run(ctx, name, arg("upload_key", key)); err != nil {
			return err
		}
	}
	return nil
}

// PurgePartials deletes some of the uploads that have not grown for the given time, and
// returns how many; 0 means that none is left.
func (s *Store) PurgePartials(ctx context.Context, olderThan time.Duration) (n int64, err error) {
	err = s.Tx(ctx, func(tx *Tx) error {
		keys, err := collect(ctx, &tx.conn, "ListOldUploads", column[string], arg("older_than", olderThan.Microseconds()), arg("limit", purgedAtOnce))
		if err != nil {
			return err
		}
		n = int64(len(keys))
		for _, key := range keys {
			old, err := tx.run(ctx, "LockOldUpload", arg("upload_key", key), arg("older_than", olderThan.Microseconds()))
			if err == nil && old > 0 { // nobody has touched it meanwhile
				err = tx.forgetPartial(ctx, key)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
