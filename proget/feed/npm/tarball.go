package npm

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of a tarball.
const (
	maxPackageJSON = 1 << 20
	maxReadme      = 256 << 10 // of which is kept
	maxEntries     = 200_000
	maxUnpacked    = 8 << 30
)

// inspect is feed.Type's Inspect.
func inspect(ctx context.Context, f feed.File) (*feed.Manifest, error) {
	source := &source{r: io.NewSectionReader(f, 0, f.Size), ctx: ctx}
	t := new(tarball)
	err := t.read(source)
	switch {
	case source.err != nil:
		return nil, fmt.Errorf("read the tarball: %w", source.err)
	case errors.Is(err, proget.ErrInvalid):
		return nil, err
	case err != nil:
		return nil, proget.WrapError(proget.ErrInvalid, err, "The file is no npm package: it is no gzipped tar archive, or it is damaged.")
	case t.manifest == nil:
		return nil, proget.Errorf(proget.ErrInvalid, "The tarball has no package.json in its one folder: pack it with npm pack.")
	}
	p, err := readPackageJSON(t.manifest)
	if err != nil {
		return nil, err
	}
	if t.gyp {
		p.build()
	}
	fields, err := json.Marshal(p.fields)
	if err != nil {
		return nil, proget.WrapError(proget.ErrInvalid, err, "package.json cannot be read.")
	}
	return &feed.Manifest{Name: p.name, Version: p.version, Prerelease: p.prerelease, FileName: fileName(p.name, p.version),
		Data: data{Package: fields, Readme: t.readme, Files: t.files, Unpacked: t.unpacked, Shrinkwrap: t.shrinkwrap}}, nil
}

// source tells a failure of storage from a broken file.
type source struct {
	r   io.Reader
	ctx context.Context
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// tarball is what was found in one.
type tarball struct {
	manifest   []byte
	readme     string
	gyp        bool
	shrinkwrap bool
	files      int
	unpacked   int64
}

func (t *tarball) read(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	archive := tar.NewReader(z)
	for entries := 0; ; entries++ {
		h, err := archive.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, io.LimitReader(z, 1<<20)) // the sum at the end counts
			return err
		}
		if err != nil {
			return err
		}
		if entries == maxEntries {
			return proget.Errorf(proget.ErrInvalid, "The tarball has more than %d entries.", maxEntries)
		}
		if err := checkPath(h.Name); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue // clients unpack nothing but files and folders
		}
		t.files++
		t.unpacked += h.Size
		if h.Size < 0 || t.unpacked > maxUnpacked {
			return proget.Errorf(proget.ErrInvalid, "The tarball unpacks to more than %d GiB.", maxUnpacked>>30)
		}
		if err := t.look(h, archive); err != nil {
			return err
		}
	}
}

// checkPath refuses what could lead out of the folder that a package is
// unpacked into.
func checkPath(name string) error {
	bad := strings.HasPrefix(name, "/") || strings.Contains(name, `\`) || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == ".."
	}
	if bad {
		return proget.Errorf(proget.ErrInvalid, "The tarball has an entry with an unsafe path (%.100q).", name)
	}
	return nil
}

// look keeps what is of interest of a file. Clients drop the first folder of
// its path, whatever it is called.
func (t *tarball) look(h *tar.Header, r io.Reader) (err error) {
	_, name, _ := strings.Cut(path.Clean(h.Name), "/")
	switch lower := strings.ToLower(name); {
	case name == "package.json":
		if t.manifest != nil {
			return proget.Errorf(proget.ErrInvalid, "The tarball has more than one package.json.")
		}
		if h.Size > maxPackageJSON {
			return proget.Errorf(proget.ErrInvalid, "package.json is larger than %d KiB.", maxPackageJSON>>10)
		}
		t.manifest, err = io.ReadAll(r)
	case name == "binding.gyp":
		t.gyp = true
	case name == "npm-shrinkwrap.json":
		t.shrinkwrap = true
	case lower == "readme.md" || lower == "readme" || lower == "readme.markdown":
		var text []byte
		text, err = io.ReadAll(io.LimitReader(r, maxReadme))
		t.readme = strings.ReplaceAll(strings.ToValidUTF8(string(text), ""), "\x00", "")
	}
	return err
}
