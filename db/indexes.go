package db

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/proget-go/ha/proget"
)

// An IndexHead names the present generation of a feed's index of one kind. It is zero
// before the first generation.
type IndexHead struct {
	Generation int64
	State      string // in the index builder's format
	build      string // distinguishes an own earlier commit from another's
}

// MaxIndexName bounds the name of an index file in bytes, so that every database can keep
// it.
const MaxIndexName = 350

// An IndexFile is a file of an index: a range of a blob's bytes.
type IndexFile struct {
	Name        string
	Blob        BlobRow
	Start, Size int64
	SHA256      string // hex
}

// Present stands for the present generation.
const Present int64 = math.MaxInt64 - 1

const forever int64 = math.MaxInt64

// An IndexSwitch is the step from one generation of an index to the next.
type IndexSwitch struct {
	FeedID     int64
	Kind       string
	Generation int64  // the one that ends
	Build      string // random, and new for each build
	State      string
	Files      []IndexFile // new files, in objects that no row names yet; Blob.ID is ignored
	Ended      []string    // files that are removed, or replaced by one of Files
	All        bool        // all former files are removed
}

func indexArgs(feedID int64, kind string, more ...sql.NamedArg) []sql.NamedArg {
	return append(more, arg("feed_id", feedID), arg("kind", kind))
}

// FindIndex returns the head of an index.
func (s *Store) FindIndex(ctx context.Context, feedID int64, kind string) (h IndexHead, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		h, err = c.findIndex(ctx, feedID, kind)
		return err
	})
	return h, err
}

func (c *conn) findIndex(ctx context.Context, feedID int64, kind string) (h IndexHead, err error) {
	err = c.one(ctx, "FindIndexHead", indexArgs(feedID, kind), &h.Generation, &h.build, &h.State)
	if errors.Is(err, proget.ErrNotFound) {
		return IndexHead{}, nil
	}
	return h, err
}

// FindIndexFile returns a file as it is in a generation, which may be [Present], or
// proget.ErrNotFound.
func (s *Store) FindIndexFile(ctx context.Context, feedID int64, kind, name string, generation int64) (f IndexFile, err error) {
	err = one(ctx, s.read, "FindIndexFile", indexArgs(feedID, kind, arg("name", name), arg("generation", generation)), f.fields()...)
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.Errorf(proget.ErrNotFound, "There is no file %s.", name)
	}
	return f, err
}

func (f *IndexFile) fields() []any {
	return append(append([]any{&f.Name}, f.Blob.fields()...), &f.Start, &f.Size, &f.SHA256)
}

// SwitchIndex makes a new generation the present one. It returns proget.ErrConflict if
// sw.Generation is no longer the present one. It may be repeated.
func (tx *Tx) SwitchIndex(ctx context.Context, sw IndexSwitch) error {
	next := sw.Generation + 1
	done, err := tx.moveIndex(ctx, sw, next)
	if done || err != nil {
		return err
	}
	ends := []sql.NamedArg{arg("next", next), arg("forever", forever)}
	if sw.All {
		if _, err := tx.run(ctx, "EndIndex", indexArgs(sw.FeedID, sw.Kind, ends...)...); err != nil {
			return err
		}
	}
	for _, name := range sw.Ended {
		if _, err := tx.run(ctx, "EndIndexFile", indexArgs(sw.FeedID, sw.Kind, arg("name", name), ends[0], ends[1])...); err != nil {
			return err
		}
	}
	return tx.addIndexFiles(ctx, sw, ends)
}

func (tx *Tx) moveIndex(ctx context.Context, sw IndexSwitch, next int64) (done bool, err error) {
	moved := indexArgs(sw.FeedID, sw.Kind, arg("next", next), arg("build", sw.Build), arg("state", sw.State))
	n, err := tx.run(ctx, "MoveIndexHead", append(moved, arg("generation", sw.Generation))...)
	if n > 0 || err != nil {
		return false, err
	}
	h, err := tx.findIndex(ctx, sw.FeedID, sw.Kind)
	switch {
	case err != nil:
		return false, err
	case h == IndexHead{} && sw.Generation == 0:
		return false, tx.insert(ctx, "InsertIndexHead", moved...)
	case h.build == sw.Build:
		return true, nil
	}
	return false, proget.Errorf(proget.ErrConflict, "generation %d of index %s of feed %d is no longer the present one", sw.Generation, sw.Kind, sw.FeedID)
}

// addIndexFiles records the files, and each of their objects once.
func (tx *Tx) addIndexFiles(ctx context.Context, sw IndexSwitch, ends []sql.NamedArg) error {
	type object struct {
		storage int64
		key     string
	}
	adopted := make(map[object]bool)
	for _, f := range sw.Files {
		o := object{f.Blob.StorageID, f.Blob.StorageKey}
		at := []sql.NamedArg{arg("storage_id", o.storage), arg("storage_key", o.key)}
		if !adopted[o] {
			if _, err := tx.run(ctx, "AdoptObject", append(at, arg("sha256", f.Blob.SHA256), arg("size", f.Blob.Size))...); err != nil {
				return err
			}
			adopted[o] = true
		}
		named := indexArgs(sw.FeedID, sw.Kind, append(at, append(ends, arg("name", f.Name), arg("start", f.Start), arg("size", f.Size), arg("sha256", f.SHA256))...)...)
		if _, err := tx.run(ctx, "InsertIndexFile", named...); err != nil {
			return err
		}
	}
	return nil
}

// PurgeIndexFiles forgets some of the index files that ended longer ago than kept, or
// whose feed has been deleted, and returns how many; 0 means that none is left.
func (s *Store) PurgeIndexFiles(ctx context.Context, kept time.Duration) (n int64, err error) {
	err = s.Tx(ctx, func(tx *Tx) error {
		n, err = tx.run(ctx, "PurgeIndexFiles", arg("kept", kept.Microseconds()), arg("limit", purgedAtOnce))
		if err != nil || n > 0 {
			return err
		}
		n, err = tx.purgeDeletedIndexes(ctx)
		return err
	})
	return n, err
}

func (tx *Tx) purgeDeletedIndexes(ctx context.Context) (purged int64, err error) {
	var indexes [][]sql.NamedArg
	err = tx.each(ctx, "ListDeletedIndexes", nil, func(rows *sql.Rows) error {
		var feed int64
		var kind string
		err := rows.Scan(&feed, &kind)
		indexes = append(indexes, indexArgs(feed, kind))
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, index := range indexes {
		n, err := tx.run(ctx, "PurgeIndex", append(index, arg("limit", purgedAtOnce))...)
		if err == nil && n == 0 {
			_, err = tx.run(ctx, "DeleteIndexHead", index...)
		}
		if purged += n; err != nil {
			return purged, err
		}
	}
	return purged, nil
}
