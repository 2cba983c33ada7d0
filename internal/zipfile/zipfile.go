// Package zipfile opens zip archives that strangers send. It bounds what one upload can
// make this process allocate before archive/zip sees it, refuses entries that a
// careless client would write outside its folder or that share a name, and tells a
// broken disk from a broken archive.
package zipfile

import (
	"archive/zip"
	"fmt"
	"io"
	"strings"

	"github.com/proget-go/ha/internal/archivename"
	"github.com/proget-go/ha/internal/blame"
)

// An Archive is an open zip.
type Archive struct {
	*zip.Reader
	Names []string // names of Reader.File, by index, as clients will read them

	source *blame.ReaderAt
}

// Open opens an archive. Archive.Names has the entries' names as clean returns them; a
// nil clean replaces backslashes with slashes. The returned archive is never nil, so
// that its ReadError can be called.
func Open(r io.ReaderAt, size int64, clean func(string) string) (*Archive, error) {
	a := &Archive{source: &blame.ReaderAt{ReaderAt: r}}
	err := check(a.source, size)
	if err != nil {
		return a, err
	}
	if a.Reader, err = zip.NewReader(a.source, size); err != nil {
		return a, fmt.Errorf("%w: %w", ErrNotZip, err)
	}
	if clean == nil {
		clean = func(name string) string { return strings.ReplaceAll(name, `\`, "/") }
	}
	seen := make(map[string]bool, len(a.File))
	for _, f := range a.File {
		name := clean(f.Name)
		if name == "" || !archivename.Local(name) {
			return a, fmt.Errorf("%w: %.200q", ErrUnsafeName, f.Name)
		}
		if seen[name] { // readers differ in which of the two they take
			return a, fmt.Errorf("%w: %.200q", ErrDuplicateName, f.Name)
		}
		seen[name] = true
		a.Names = append(a.Names, name)
	}
	return a, nil
}

// ReadError returns the last error of reading the archive's bytes, for which the
// archive is not to blame, or nil.
func (a *Archive) ReadError() error { return a.source.Err() }

// Read decompresses an entry, whatever size it claims to have. It returns
// ErrEntryTooLong if the entry has more than limit bytes.
func (a *Archive) Read(f *zip.File, limit int64) ([]byte, error) {
	if f.UncompressedSize64 > uint64(limit) {
		return nil, ErrEntryTooLong
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = ErrEntryTooLong
	}
	return text, err
}
