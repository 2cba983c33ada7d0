package universal

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/proget-go/ha/internal/tarfile"
	"github.com/proget-go/ha/internal/zipfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of a tgz archive.
const (
	maxExpanded = 10 << 30 // bytes
	maxEntries  = 200_000  // of which as many may be files as a zip can contain
)

// wrap returns a function that writes the package made from an archive and the
// request's fields, or nil if the archive already is that package.
func wrap(ctx context.Context, r io.ReaderAt, size int64, fields map[string]any) (func(io.Writer) error, error) {
	start := make([]byte, 2)
	if n, err := r.ReadAt(start, 0); err != nil && err != io.EOF {
		return nil, err
	} else if bytes.Equal(start[:n], []byte{0x1f, 0x8b}) {
		text, err := newManifest(nil, fields)
		if err != nil {
			return nil, err
		}
		return func(w io.Writer) error { return wrapTar(ctx, w, text, r, size) }, nil
	}
	if text, ending, err := manifestOf(feed.File{ReaderAt: r, Size: size}); err == nil {
		if ending == vpackEnding || adds(text, fields) == nil {
			return nil, nil
		}
		return rewrap(r, size, text, fields)
	}
	archive, err := open(r, size)
	if err != nil {
		return nil, err
	}
	for _, name := range archive.Names {
		if strings.EqualFold(name, manifestName) { // a broken package must not become the content of another
			_, err := archive.manifest()
			return nil, err
		}
	}
	text, err := newManifest(nil, fields)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer) error { return archive.wrap(w, text, contentPrefix) }, nil
}

// adds returns the fields that a manifest lacks; nil if there are none.
func adds(text []byte, fields map[string]any) map[string]any {
	var whole map[string]any
	if json.Unmarshal(text, &whole) != nil {
		return nil
	}
	var more map[string]any
	for key, value := range fields {
		if key == "group" || key == "name" || key == "version" {
			continue // it must agree with the manifest, which is checked later
		}
		have, err := json.Marshal(whole[key])
		want, err2 := json.Marshal(value)
		if err == nil && err2 == nil && !bytes.Equal(have, want) {
			if more == nil {
				more = make(map[string]any)
			}
			more[key] = value
		}
	}
	return more
}

// rewrap returns a function that writes a package with fields added to its manifest.
func rewrap(r io.ReaderAt, size int64, text []byte, fields map[string]any) (func(io.Writer) error, error) {
	if _, _, err := readJSON(text); err != nil {
		return nil, err
	}
	text, err := newManifest(text, adds(text, fields))
	if err != nil {
		return nil, err
	}
	archive, err := open(r, size)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer) error { return archive.wrap(w, text, "") }, nil
}

// newManifest returns a manifest with fields added, or one with only these fields.
func newManifest(text []byte, fields map[string]any) ([]byte, error) {
	whole := make(map[string]any)
	if text != nil {
		if err := json.Unmarshal(text, &whole); err != nil {
			return nil, proget.WrapError(proget.ErrInvalid, err, "upack.json is not a JSON object.")
		}
	}
	maps.Copy(whole, fields)
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return nil, err
	}
	if len(text) > maxManifest {
		return nil, proget.Errorf(proget.ErrInvalid, "The package's metadata takes more than %d KiB.", maxManifest>>10)
	}
	if whole["name"] == nil || whole["version"] == nil {
		return nil, proget.Errorf(proget.ErrInvalid, "The archive is not a universal package: to make one of it, give name and version.")
	}
	_, _, err = readJSON(text)
	return text, err
}

func writeManifest(out *zip.Writer, text []byte) error {
	entry, err := out.Create(manifestName)
	if err == nil {
		_, err = entry.Write(text)
	}
	return err
}

// wrap writes a package with a manifest and, below a folder, the entries of the
// archive, without recompressing them.
func (a *upack) wrap(w io.Writer, text []byte, folder string) error {
	out := zip.NewWriter(w)
	if err := writeManifest(out, text); err != nil {
		return err
	}
	for i, f := range a.File {
		if folder == "" && strings.EqualFold(a.Names[i], manifestName) {
			continue
		}
		if err := a.copyEntry(out, f, folder+a.Names[i]); err != nil {
			return err
		}
	}
	return out.Close()
}

// wrapTar writes a package with a manifest and, below package/, the files of a
// compressed tar archive.
func wrapTar(ctx context.Context, w io.Writer, text []byte, r io.ReaderAt, size int64) error {
	out := zip.NewWriter(w)
	if err := writeManifest(out, text); err != nil {
		return err
	}
	seen := make(map[string]bool)
	err := tarfile.Walk(ctx, r, size, tarfile.Limits{Expanded: maxExpanded, Entries: maxEntries}, func(h *tar.Header, content io.Reader) error {
		switch h.Typeflag {
		case tar.TypeDir:
			return nil
		case tar.TypeReg:
		default:
			return proget.Errorf(proget.ErrInvalid, "%.100q in the archive is not a regular file: a package can contain only files.", h.Name)
		}
		name, err := cleanPath(strings.TrimPrefix(h.Name, "./"))
		if err != nil {
			return err
		}
		if name == "" || seen[name] {
			return proget.Errorf(proget.ErrInvalid, "The archive has the file %.100q more than once, or a file without a name.", h.Name)
		}
		if len(seen) >= zipfile.MaxEntries {
			return proget.Errorf(proget.ErrInvalid, "The archive has more than %d files.", zipfile.MaxEntries)
		}
		seen[name] = true
		return addTarFile(out, contentPrefix+name, h, content)
	})
	if err != nil {
		return refusal(err)
	}
	return out.Close()
}

// refusal returns proget.ErrInvalid if err means that a tgz archive is invalid,
// otherwise err.
func refusal(err error) error {
	switch {
	case errors.Is(err, tarfile.ErrUnsafeName):
		return proget.WrapError(proget.ErrInvalid, err, "The archive has an entry with an unsafe path (%s).", err)
	case errors.Is(err, tarfile.ErrTooManyEntries):
		return proget.WrapError(proget.ErrInvalid, err, "The archive has more than %d entries.", maxEntries)
	case errors.Is(err, tarfile.ErrTooLarge):
		return proget.WrapError(proget.ErrInvalid, err, "The archive expands to more than %d GiB.", maxExpanded>>30)
	case errors.Is(err, tarfile.ErrNotTar):
		return proget.WrapError(proget.ErrInvalid, err, "The file is not a tgz archive, or it is damaged.")
	}
	return err
}

func addTarFile(out *zip.Writer, name string, header *tar.Header, content io.Reader) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: header.ModTime.Truncate(time.Second)}
	h.SetMode(header.FileInfo().Mode().Perm())
	entry, err := out.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, content)
	return err
}
