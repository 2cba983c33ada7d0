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
	t := new(tarball)
	if err := t.read(ctx, f, t.look); err != nil {
		return nil, err
	}
	if t.manifest == nil {
		return nil, proget.Errorf(proget.ErrInvalid, "The tarball has no package.json in its one folder: pack it with npm pack.")
	}
	p, err := readPackageJSON(t.manifest)
	if err != nil {
		return nil, err
	}
	if folder := p.binFolder(); folder != "" {
		if err := p.fillBin(ctx, f, folder); err != nil {
			return nil, err
		}
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

// read reads a tarball to its end, and has every file in it looked at.
func (t *tarball) read(ctx context.Context, f feed.File, look func(name string, size int64, r io.Reader) error) error {
	source := &source{r: io.NewSectionReader(f, 0, f.Size), ctx: ctx}
	err := t.walk(source, look)
	switch {
	case source.err != nil:
		return fmt.Errorf("read the tarball: %w", source.err)
	case err == nil, errors.Is(err, proget.ErrInvalid):
		return err
	}
	return proget.WrapError(proget.ErrInvalid, err, "The file is no npm package: it is no gzipped tar archive, or it is damaged.")
}

// walk is read of the bytes. Clients drop the first folder of a path, whatever it is
// called.
func (t *tarball) walk(r io.Reader, look func(name string, size int64, r io.Reader) error) error {
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
		_, name, _ := strings.Cut(path.Clean(h.Name), "/")
		if err := look(name, h.Size, archive); err != nil {
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

// look keeps what is of interest of a file.
func (t *tarball) look(name string, size int64, r io.Reader) (err error) {
	switch lower := strings.ToLower(name); {
	case name == "package.json":
		if t.manifest != nil {
			return proget.Errorf(proget.ErrInvalid, "The tarball has more than one package.json.")
		}
		if size > maxPackageJSON {
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

// fillBin makes commands of the files in a folder. Which folder that is may be told
// after them, so the tarball is read once more.
func (p *packageJSON) fillBin(ctx context.Context, f feed.File, folder string) error {
	bin, held := make(map[string]string), 0
	err := new(tarball).read(ctx, f, func(name string, _ int64, _ io.Reader) error {
		file, ok := strings.CutPrefix("/"+name, folder)
		if !ok || file == "" || strings.Contains("/"+file, "/.") { // nor does npm take what is hidden
			return nil
		}
		if held += len(name); held > maxPackageJSON {
			return proget.Errorf(proget.ErrInvalid, "The names of the files in directories.bin take more than %d KiB.", maxPackageJSON>>10)
		}
		bin[path.Base(file)] = name
		return nil
	})
	if len(bin) > 0 {
		p.set("bin", bin)
	}
	return err
}
