package asset

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/internal/tarfile"
	"github.com/proget-go/ha/internal/zipfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxExpanded bounds the expanded size of an archive, in bytes.
const maxExpanded = 10 << 30

// importArchive unpacks an archive into a folder. It reads the archive twice: first it
// checks all names, then it stores the files one by one.
func (h *handler) importArchive(w http.ResponseWriter, r *feed.Request, p path) error {
	format, err := readFormat(r)
	if err != nil {
		return err
	}
	if err := h.checkPlace(r.Context(), r.Feed, p, true); err != nil {
		return err
	}
	spool, err := feed.NewSpool(r.Context(), h.services, r.Feed, r.Principal, r.Body)
	if err != nil {
		return err
	}
	defer spool.Close()
	each := func(visit func(packed) error) error {
		return readTar(r.Context(), spool, spool.Size(), visit)
	}
	if format == "zip" {
		each = func(visit func(packed) error) error { return readZip(spool, spool.Size(), visit) }
	}
	in := &importing{handler: h, r: r, into: p, kinds: make(map[string]bool)}
	if err := each(in.check); err != nil {
		return err
	}
	if err := in.checkKinds(); err != nil {
		return err
	}
	if p != "" {
		err = h.makeFolder(r, p)
	}
	if err == nil {
		err = each(in.store)
	}
	if err != nil {
		return in.stopped(err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "Imported: %s. Already there, and left unchanged: %d.\n", quantity.Of(in.stored, "file"), in.skipped)
	return nil
}

// packed is an item of an archive.
type packed struct {
	name    string
	dir     bool
	content io.Reader // of a file; reading it may fail
}

// importing is an import under way.
type importing struct {
	*handler
	r     *feed.Request
	into  path
	kinds map[string]bool // maps keys in the archive to whether they are folders

	stored, skipped int
}

// check validates the name of an item.
func (in *importing) check(i packed) error {
	p, err := readPath(i.name)
	if err == nil {
		err = p.checkNew()
	}
	if err == nil && p != "" {
		_, err = readPath(string(in.into.join(p)))
	}
	if err != nil {
		return err
	}
	if p == "" && i.dir { // "./"
		return nil
	}
	if p == "" {
		return proget.Errorf(proget.ErrInvalid, "The archive has a file without a name.")
	}
	if dir, again := in.kinds[p.key()]; again && !(dir && i.dir) {
		return proget.Errorf(proget.ErrInvalid, "The archive has %q more than once, upper and lower case being the same.", p)
	}
	in.kinds[p.key()] = i.dir
	return nil
}

// checkKinds returns an error if a file in the archive has something below it.
func (in *importing) checkKinds() error {
	for key := range in.kinds {
		for parent := range path(key).above {
			if dir, known := in.kinds[string(parent)]; known && !dir {
				return proget.Errorf(proget.ErrInvalid, "In the archive, %q is a file and a folder.", parent)
			}
		}
	}
	return nil
}

// store publishes an item.
func (in *importing) store(i packed) error {
	rest, err := readPath(i.name)
	if err != nil {
		return err
	}
	p := in.into.join(rest)
	if p == "" || rest == "" {
		return nil
	}
	if i.dir {
		return in.makeFolder(in.r, p)
	}
	if err := in.checkPlace(in.r.Context(), in.r.Feed, p, false); err != nil {
		return err
	}
	a := createContent
	if flag(in.r, "overwrite") {
		a = putContent
	} else if _, err := in.version(in.r.Context(), in.r.Feed, p.key()); err == nil { // which avoids storing the file first
		in.skipped++
		return nil
	} else if !isNotFound(err) {
		return err
	}
	err = in.handler.store(in.r, p, a, nil, feed.Upload{Body: checkedReader{i.content}, Check: stamp("")})
	if _, there := errors.AsType[*existsError](err); there {
		in.skipped++
		return nil
	}
	if err == nil {
		in.stored++
	}
	return err
}

// checkedReader reports the error of an unreadable file as the archive's fault, not the
// connection's.
type checkedReader struct{ r io.Reader }

// Read implements [io.Reader].
func (c checkedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && err != io.EOF && proget.Message(err) == "" {
		err = damaged(err)
	}
	return n, err
}

func damaged(cause error) error {
	return proget.WrapError(proget.ErrInvalid, cause, "The archive is damaged: it cannot be read to its end.")
}

// stopped adds to an error what the failed import has left.
func (in *importing) stopped(err error) error {
	message := proget.Message(err)
	if in.stored == 0 || message == "" {
		return err
	}
	kind := proget.ErrUnavailable
	for _, k := range []error{proget.ErrInvalid, proget.ErrTooLarge, proget.ErrNoSpace, proget.ErrDenied} {
		if errors.Is(err, k) {
			kind = k
		}
	}
	return proget.WrapError(kind, err, "%s Already imported: %s.", message, quantity.Of(in.stored, "file"))
}

func tooMuch() error {
	return proget.Errorf(proget.ErrInvalid, "The archive expands to more than %d GiB.", maxExpanded>>30)
}

// A budget is how much an archive may still expand.
type budget struct{ left int64 }

// of returns a reader for a file's content that fails beyond the budget.
func (b *budget) of(r io.Reader) io.Reader { return &budgetReader{b, r} }

type budgetReader struct {
	*budget
	r io.Reader
}

// Read implements [io.Reader].
func (b *budgetReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooMuch()
	}
	return n, err
}

// readZip calls visit for each item of a zip.
func readZip(r io.ReaderAt, size int64, visit func(packed) error) error {
	a, err := zipfile.Open(r, size, below)
	if broken := a.ReadError(); broken != nil {
		return broken
	}
	switch {
	case errors.Is(err, zipfile.ErrUnsafeName), errors.Is(err, zipfile.ErrDuplicateName):
		return proget.WrapError(proget.ErrInvalid, err, "The archive cannot be imported: %s.", err)
	case errors.Is(err, zipfile.ErrTooManyEntries), errors.Is(err, zipfile.ErrDirectoryTooLarge):
		return proget.WrapError(proget.ErrInvalid, err, "The archive has more than %d entries, or their names are too long.", maxEntries)
	case err != nil:
		return proget.WrapError(proget.ErrInvalid, err, "The file is not a zip archive, or it is damaged.")
	}
	left, claimed := &budget{maxExpanded}, uint64(0)
	for _, f := range a.File {
		if claimed += f.UncompressedSize64; claimed > maxExpanded || f.UncompressedSize64 > maxExpanded {
			return tooMuch()
		}
	}
	for i, f := range a.File {
		if mode := f.Mode(); !mode.IsRegular() && !mode.IsDir() {
			return special(a.Names[i])
		}
		content := &lazyReader{open: f.Open}
		err := visit(packed{name: strings.TrimPrefix(a.Names[i], "./"), dir: strings.HasSuffix(a.Names[i], "/"), content: left.of(content)})
		content.close()
		if broken := a.ReadError(); broken != nil {
			return broken
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// below returns an entry's name with slashes, and with "./" before what Windows would
// take for a drive: nothing is unpacked onto a disk, where C: is a folder like any other.
func below(name string) string {
	name = strings.ReplaceAll(name, `\`, "/")
	if strings.IndexByte(name, ':') == 1 {
		return "./" + name
	}
	return name
}

func special(name string) error {
	return proget.Errorf(proget.ErrInvalid, "%.100q in the archive is a link, a device or the like: only files and folders can be imported.", name)
}

// lazyReader opens a file of an archive at the first read.
type lazyReader struct {
	open func() (io.ReadCloser, error)
	in   io.ReadCloser
}

// Read implements [io.Reader].
func (l *lazyReader) Read(p []byte) (n int, err error) {
	if l.in == nil {
		if l.in, err = l.open(); err != nil {
			return 0, err
		}
	}
	return l.in.Read(p)
}

func (l *lazyReader) close() {
	if l.in != nil {
		_ = l.in.Close()
	}
}

// readTar calls visit for each item of a compressed tar archive, which it reads to the
// end.
func readTar(ctx context.Context, r io.ReaderAt, size int64, visit func(packed) error) error {
	err := tarfile.Walk(ctx, r, size, tarfile.Limits{Expanded: maxExpanded, Entries: maxEntries, Clean: below}, func(h *tar.Header, content io.Reader) error {
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
			return special(h.Name)
		}
		return visit(packed{name: strings.TrimPrefix(h.Name, "./"), dir: h.Typeflag == tar.TypeDir, content: content})
	})
	switch {
	case errors.Is(err, tarfile.ErrUnsafeName):
		return proget.WrapError(proget.ErrInvalid, err, "The archive cannot be imported: %s.", err)
	case errors.Is(err, tarfile.ErrTooManyEntries):
		return proget.WrapError(proget.ErrInvalid, err, "The archive has more than %d entries.", maxEntries)
	case errors.Is(err, tarfile.ErrTooLarge):
		return tooMuch()
	case errors.Is(err, tarfile.ErrNotTar):
		return proget.WrapError(proget.ErrInvalid, err, "The file is not a tgz archive, or it is damaged: it cannot be read to its end.")
	}
	return err
}
