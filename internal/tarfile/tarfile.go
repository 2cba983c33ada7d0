// Package tarfile walks through compressed tar archives that strangers send. What one
// upload can make this process decompress is bounded, entries that a careless client
// would write outside its folder are refused, and a broken disk is told from a broken
// archive.
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

// Why an archive is refused.
var (
	ErrNotTar         = errors.New("not a well-formed tar archive within gzip")
	ErrTooLarge       = errors.New("expands to too much")
	ErrTooManyEntries = errors.New("too many entries")
	ErrUnsafeName     = errors.New("unsafe entry name")
)

// Limits are the bounds of an archive.
type Limits struct {
	// Expanded bounds, in bytes, all that is decompressed, whatever it is, and what
	// the entries hold together: there are no bytes for a hole in a file.
	Expanded int64
	Entries  int // of whatever type
}

// Walk reads an archive to its end, where the sum of its bytes is, and calls visit for
// each entry but those that merely describe others. An error of visit ends it, and is
// returned as it is, unless the file could not be read, or ctx ended meanwhile: that is
// returned then, and is none of the errors above.
func Walk(ctx context.Context, r io.ReaderAt, size int64, limits Limits, visit func(*tar.Header, io.Reader) error) error {
	in := &blame.ReaderAt{ReaderAt: interruptible{r, ctx}}
	err := walk(io.NewSectionReader(in, 0, size), limits, visit)
	if failed := in.Err(); failed != nil {
		return fmt.Errorf("read the archive: %w", failed)
	}
	return err
}

// interruptible reads until a context ends.
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
			continue // nor is its name a path in the archive
		}
		if !Safe(h.Name) {
			return fmt.Errorf("%w: %.200q", ErrUnsafeName, h.Name)
		}
		if err := visit(h, now); err != nil {
			return err
		}
	}
}

// admit takes an entry off what may still come.
func (l *Limits) admit(h *tar.Header) error {
	switch {
	case l.Entries <= 0:
		return ErrTooManyEntries
	case h.Size < 0: // which archive/tar lets pass where it expects no content
		return broken(tar.ErrHeader)
	case h.Size > l.Expanded:
		return ErrTooLarge
	}
	l.Entries--
	l.Expanded -= h.Size
	return nil
}

// Safe reports whether a path leads nowhere but into the folder that an archive is
// unpacked into, and can be shown.
func Safe(name string) bool {
	return archivename.Local(name) && utf8.ValidString(name) && !strings.ContainsFunc(name, control)
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// bounded is what an archive expands to, and fails beyond what it may expand to.
// It counts what archive/tar skips, too, and what follows the last entry.
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

// content is what an entry holds, and says what is wrong with it.
type content struct{ io.Reader }

func (c *content) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		return n, err
	}
	return n, broken(err)
}

// broken says what an error of the readers means, unless that is said already.
func broken(err error) error {
	if err == nil || errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotTar, err)
}
