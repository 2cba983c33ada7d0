package bleve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/util"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// CopyTo writes a consistent copy of the index into an empty or new folder while the
// index is in use. The copy has the positions of the moment when it was begun.
func (x *Index) CopyTo(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("copy the search index: %w", err)
	}
	if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
		return errors.Join(fmt.Errorf("copy the search index: %s is not empty", dir), err)
	}
	x.life.RLock()
	defer x.life.RUnlock()
	if x.closed {
		return fmt.Errorf("copy the search index: %w", errClosed)
	}
	from, ok := x.text.(bleve.IndexCopyable)
	if !ok {
		return errors.New("copy the search index: there is none")
	}
	if err := from.CopyTo(bleve.FileSystemDirectory(dir)); err != nil {
		return fmt.Errorf("copy the search index: %w", err) // whether of the index or of the folder is unknown
	}
	return writeFormat(dir)
}

// Format implements snapshot.Index.
func (*Index) Format() string { return Format }

// Adopt replaces the index's content by a copy that CopyTo wrote, and removes the
// folder of the copy. If the copy is unusable, the index is empty afterwards.
func (x *Index) Adopt(dir string) error {
	x.life.Lock()
	defer x.life.Unlock()
	if x.closed {
		return errClosed
	}
	x.drop()
	err := remove(x.path)
	if err == nil {
		err = os.Rename(dir, x.path)
	}
	if err == nil {
		err = x.open()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("adopt a copy of the search index: %w", err), x.create())
	}
	return nil
}

func writeFormat(path string) error {
	return os.WriteFile(filepath.Join(path, formatFile), []byte(Format), 0o600)
}

// check returns an error if a folder does not contain an intact index of this format,
// as far as can be told: the library compares versions, but never its checksums.
func check(path string) error {
	written, err := os.ReadFile(filepath.Join(path, formatFile))
	if err != nil {
		return err
	}
	if string(written) != Format {
		return fmt.Errorf("the index has format %.20q, not %q", written, Format)
	}
	store := filepath.Join(path, "store")
	segments, err := readRoot(filepath.Join(store, "root.bolt"))
	if err != nil {
		return err
	}
	for _, name := range segments {
		if err := checkSegment(filepath.Join(store, name)); err != nil {
			return err
		}
	}
	return nil
}

// readRoot returns the names of the index's segments. Other files beside them are what
// a killed process did not finish; the library removes them. A truncated root is an
// error: a background task of the library would read beyond its end and be lost.
func readRoot(path string) (segments []string, err error) {
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTime})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, errInUse
	}
	if err != nil {
		return nil, err
	}
	defer db.Close()
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%s has %d bytes instead of %d", path, info.Size(), tx.Size())
		}
		segments = segmentNames(tx)
		return nil
	})
	return segments, err
}

// segmentNames returns the segments of every state that the root lists.
func segmentNames(tx *bbolt.Tx) (names []string) {
	states := tx.Bucket(util.BoltSnapshotsBucket)
	if states == nil {
		return nil
	}
	below := func(b *bbolt.Bucket, do func(*bbolt.Bucket)) {
		_ = b.ForEachBucket(func(key []byte) error { // do has no errors
			do(b.Bucket(key))
			return nil
		})
	}
	below(states, func(state *bbolt.Bucket) {
		below(state, func(segment *bbolt.Bucket) {
			if name := segment.Get(util.BoltPathKey); name != nil {
				names = append(names, string(name))
			}
		})
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// checkSegment compares a segment with the checksum at its end.
func checkSegment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(sum, f, info.Size()-crc32.Size); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var end [crc32.Size]byte
	if _, err := io.ReadFull(f, end[:]); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if sum.Sum32() != binary.BigEndian.Uint32(end[:]) {
		return fmt.Errorf("%s is damaged", path)
	}
	return nil
}

// removeOlder removes indexes of earlier versions of this program, which kept each
// format in its own folder.
func removeOlder(dir string) error {
	older, err := fs.Glob(os.DirFS(dir), Folder+"-[0-9]")
	if err != nil {
		return err
	}
	for _, name := range older {
		path := filepath.Join(dir, name)
		if ours, err := owned(path); err != nil || !ours {
			continue // it does no harm
		}
		if err := remove(path); err != nil {
			return fmt.Errorf("remove an old search index: %w", err)
		}
	}
	return nil
}

// owned reports whether the path may be removed: if there is nothing, an empty folder,
// or an index, however damaged. An administrator may have named a folder that contains
// other things.
func owned(path string) (bool, error) {
	there, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(there) == 0 {
		return true, nil
	}
	for _, mark := range []string{formatFile, metaFile, filepath.Join("store", "root.bolt")} {
		if _, err := os.Stat(filepath.Join(path, mark)); err == nil {
			return true, nil
		}
	}
	return false, err
}

// remove removes an index. The files by which owned recognizes it go last, so that what
// is left if remove ends early is removed the next time.
func remove(path string) error {
	if err := os.RemoveAll(filepath.Join(path, "store")); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

func snapshot(text bleve.Index) (*scorch.IndexSnapshot, error) {
	advanced, err := text.Advanced()
	if err != nil {
		return nil, err
	}
	reader, err := advanced.Reader()
	if err != nil {
		return nil, err
	}
	s, ok := reader.(*scorch.IndexSnapshot)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the index is a %T", reader), reader.Close())
	}
	return s, nil
}

// load fills table and positions from a newly opened index.
func (x *Index) load(text bleve.Index) error {
	s, err := snapshot(text)
	if err != nil {
		return err
	}
	defer s.Close()
	positions := make(map[int64]position)
	for name, value := range s.Internal() {
		number, ok := strings.CutPrefix(name, positionPrefix)
		if !ok {
			continue
		}
		feed, err := strconv.ParseInt(number, 10, 64)
		if err != nil || len(value) < 8 {
			return fmt.Errorf("the position %q is damaged", name)
		}
		positions[feed] = positionOf(value)
	}
	loaded := make(map[int64]*[shelves][]string)
	for _, segment := range s.Segments() {
		if err := loadSegment(segment, loaded); err != nil {
			return err
		}
	}
	t := make(table)
	for feed, keys := range loaded {
		t.load(feed, keys)
	}
	x.replace(t, positions)
	return nil
}

// loadSegment adds the keys of a segment to the lists of their shelves. All lists share
// one string per key.
func loadSegment(s *scorch.SegmentSnapshot, into map[int64]*[shelves][]string) error {
	dictionary, err := s.Segment().Dictionary(shelfField)
	if err != nil {
		return err
	}
	keys := make([]string, s.Segment().Count())
	terms := dictionary.AutomatonIterator(nil, nil, nil)
	for term, err := terms.Next(); term != nil || err != nil; term, err = terms.Next() {
		if err != nil {
			return err
		}
		feed, number, ok := parseID(term.Term)
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || n >= shelves {
			return fmt.Errorf("the term %q is damaged", term.Term)
		}
		if into[feed] == nil {
			into[feed] = new([shelves][]string)
		}
		list, err := dictionary.PostingsList([]byte(term.Term), nil, nil)
		if err != nil {
			return err
		}
		docs := documents(list)
		if s.Deleted() != nil {
			docs = roaring.AndNot(docs, s.Deleted())
		}
		for each := docs.Iterator(); each.HasNext(); {
			doc := each.Next()
			if keys[doc] == "" {
				id, err := s.DocID(uint64(doc))
				if err != nil {
					return err
				}
				if _, keys[doc], ok = parseID(string(id)); !ok {
					return fmt.Errorf("the document id %q is damaged", id)
				}
			}
			into[feed][n] = append(into[feed][n], keys[doc])
		}
	}
	return nil
}
