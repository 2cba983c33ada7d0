package asset

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxEntries bounds the files and folders of an imported or exported archive.
const maxEntries = 65535

// formats are the media types of archives.
var formats = map[string]string{"zip": "application/zip", "tgz": "application/gzip"}

// readFormat returns the archive format that a request asks for.
func readFormat(r *feed.Request) (string, error) {
	format := strings.ToLower(r.URL.Query().Get("format"))
	if formats[format] == "" {
		return "", proget.Errorf(proget.ErrInvalid, "format is %.20q; use zip or tgz.", format)
	}
	return format, nil
}

// An archive writes items one after the other.
type archive interface {
	folder(name string, modified time.Time) error
	file(name string, size int64, modified time.Time, content io.Reader) error
	io.Closer
}

// exportFolder sends the contents of a folder as an archive, which it creates while
// sending.
func (h *handler) exportFolder(w http.ResponseWriter, r *feed.Request, p path) error {
	format, err := readFormat(r)
	if err != nil {
		return err
	}
	if p != "" {
		e, err := h.find(r.Context(), r.Feed, p)
		if err != nil {
			return err
		}
		if !e.dir {
			return proget.Errorf(proget.ErrInvalid, "%q is a file, not a folder.", p)
		}
	}
	recursive, n := flag(r, "recursive"), 0
	err = h.walk(r.Context(), r.Feed, p, recursive, func(entry) error {
		if n++; n > maxEntries {
			return proget.Errorf(proget.ErrInvalid, "The folder has more than %d items, too many for an archive: export its folders one by one.", maxEntries)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, name := p.split()
	if name == "" {
		name = r.Feed.Name
	}
	w.Header().Set("Content-Type", formats[format])
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name + "." + format}))
	if r.Method == http.MethodHead {
		return nil
	}
	return h.send(w, r, format, func(out archive) error {
		return h.walk(r.Context(), r.Feed, p, recursive, func(e entry) error { return h.export(r, out, p, e) })
	})
}

// maxHeld is how many bytes of an archive are held back at first.
const maxHeld = 256 << 10

// send sends an archive with what fill writes to it. An error becomes the answer as long
// as the first bytes are held back; afterwards, the answer is cut off.
func (h *handler) send(w http.ResponseWriter, r *feed.Request, format string, fill func(archive) error) error {
	begun := &beginning{Writer: w}
	held := bufio.NewWriterSize(begun, maxHeld)
	var out archive = &zipArchive{zip.NewWriter(held)}
	if format == "tgz" {
		out = newTarArchive(held)
	}
	err := fill(out)
	if err == nil {
		err = errors.Join(out.Close(), held.Flush())
	}
	if err != nil && begun.written {
		h.cutOff(r.Context(), "an archive of a folder", err)
	}
	if err != nil {
		w.Header().Del("Content-Disposition") // it belongs to the archive
	}
	return err
}

// A beginning notes whether anything was written.
type beginning struct {
	io.Writer
	written bool
}

// Write implements [io.Writer].
func (b *beginning) Write(p []byte) (int, error) {
	b.written = true
	return b.Writer.Write(p)
}

// export writes an item, under its name below the folder p.
func (h *handler) export(r *feed.Request, out archive, p path, e entry) error {
	folder := upTo(string(e.path), strings.Count(p.folderKey(), "/")) // with the spelling when e was stored
	name := string(e.path)[len(folder):]
	if e.dir {
		return out.folder(name+"/", e.describe("").Modified)
	}
	if e.version.Status.Blocked {
		return nil
	}
	content, err := h.services.Files.Open(r.Context(), e.version.Files[0])
	if err != nil {
		return err
	}
	defer content.Close()
	return out.file(name, content.Size(), e.version.Published, io.NewSectionReader(content, 0, content.Size()))
}

type zipArchive struct{ out *zip.Writer }

func (a *zipArchive) folder(name string, modified time.Time) error {
	_, err := a.out.CreateHeader(&zip.FileHeader{Name: name, Modified: modified})
	return err
}

func (a *zipArchive) file(name string, _ int64, modified time.Time, content io.Reader) error {
	w, err := a.out.CreateHeader(&zip.FileHeader{Name: name, Modified: modified, Method: zip.Deflate})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}

// Close implements [io.Closer].
func (a *zipArchive) Close() error { return a.out.Close() }

type tarArchive struct {
	compressed *gzip.Writer
	out        *tar.Writer
}

func newTarArchive(w io.Writer) *tarArchive {
	compressed := gzip.NewWriter(w)
	return &tarArchive{compressed, tar.NewWriter(compressed)}
}

func (a *tarArchive) folder(name string, modified time.Time) error {
	return a.out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: modified.Truncate(time.Second)})
}

func (a *tarArchive) file(name string, size int64, modified time.Time, content io.Reader) error {
	if err := a.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: modified.Truncate(time.Second)}); err != nil {
		return err
	}
	_, err := io.Copy(a.out, content)
	return err
}

// Close implements [io.Closer].
func (a *tarArchive) Close() error { return errors.Join(a.out.Close(), a.compressed.Close()) }
