// Package tarfile reads gzip-compressed tar archives that strangers send. It bounds
// what one upload can make this process decompress, refuses entries that a careless
// client would write outside its folder, and tells a broken disk from a broken archive.
package tarfile

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/proget-go/ha/internal/archivename"
	"github.com/proget-go/ha/internal/blame"
)

// Reasons to refuse an archive.
var (
	ErrNotTar         = errors.New("not a well-formed tar archive within gzip")
	ErrTooLarge       = errors.New("expands to too much")
	ErrTooManyEntries = errors.New("too many entries")
	ErrUnsafeName     = errors.New("unsafe entry name")
)

// Limits bound an archive.
type Limits struct {
	// Expanded bounds, in bytes, all that is decompressed, of whatever kind, and the
	// entries' total size, since holes in a file take no bytes.
	Expanded int64
	Entries  int // number of entries of any type

	// Clean returns an entry's name as it is checked and visited. Optional.
	Clean func(name string) string
}

// Walk reads an archive to its end, where its checksum is, and calls visit for each
// entry except those that merely describe others. It stops at the first error of visit
// and returns it unchanged. If the file could not be read or ctx ended meanwhile, Walk
// returns that error instead, which is none of the errors above.
func Walk(ctx context.Context, r io.ReaderAt, size int64, limits Limits, visit func(*tar.Header, io.Reader) error) error {
	in := &blame.ReaderAt{ReaderAt: interruptible{r, ctx}}
	err := walk(io.NewSectionReader(in, 0, size), limits, visit)
	if failed := in.Err(); failed != nil {
		return fmt.Errorf("read the archive: %w", failed)
	}
	return err
}

// interruptible fails to read once a context has ended.
type interruptible struct {
	io.ReaderAt
	ctx context.Context
}

func (i interruptible) ReadAt(p []byte, off int64) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.ReaderAt.ReadAt(p, off)
}

func walk(r io.Reader, limits Limits, visit func(*tar.Header, io.Reader) error) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return broken(err)
	}
	all := &bounded{z, limits.Expanded}
	archive := tar.NewReader(all)
	now := &content{archive} // of the entry that archive is at
	for {
		h, err := archive.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, all) // gzip's sum comes last
			return broken(err)
		}
		if err != nil {
			return broken(err)
		}
		if err := limits.admit(h); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // its name is no path in the archive either
		}
		if limits.Clean != nil {
			h.Name = limits.Clean(h.Name)
		}
		if !Safe(h.Name) {
			return fmt.Errorf("%w: %.200q", ErrUnsafeName, h.Name)
		}
		if err := visit(h, now); err != nil {
			return err
		}
	}
}

// admit subtracts an entry from the limits, or returns why it exceeds them.
func (l *Limits) admit(h *tar.Header) error {
	switch {
	case l.Entries <= 0:
		return ErrTooManyEntries
	case h.Size < 0: // archive/tar permits it where it expects no content
		return broken(tar.ErrHeader)
	case h.Size > l.Expanded:
		return ErrTooLarge
	}
	l.Entries--
	l.Expanded -= h.Size
	return nil
}

// Safe reports whether a path stays inside the folder into which an archive is
// unpacked, and can be displayed.
func Safe(name string) bool {
	return archivename.Local(name) && utf8.ValidString(name) && !strings.ContainsFunc(name, control)
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// bounded reads what an archive expands to, and fails beyond the limit. It also counts
// what archive/tar skips and what follows the last entry.
type bounded struct {
	io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// content reads an entry, with errors as broken returns them.
type content struct{ io.Reader }

func (c *content) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		return n, err
	}
	return n, broken(err)
}

// broken wraps an error of the readers in ErrNotTar, unless it is ErrTooLarge.
func broken(err error) error {
	if err == nil || errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotTar, err)
}
