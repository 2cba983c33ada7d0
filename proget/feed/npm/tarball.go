package npm

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/proget-go/ha/internal/tarfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of a tarball.
const (
	maxPackageJSON = 1 << 20
	maxReadme      = 256 << 10 // how much of it is stored
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
		Data: data{Package: fields, Readme: t.readme, Files: t.files, Unpacked: t.unpacked, Shrinkwrap: t.shrinkwrap, digests: f.Digests}}, nil
}

// tarball is what was found in a tarball.
type tarball struct {
	manifest   []byte
	readme     string
	gyp        bool
	shrinkwrap bool
	files      int
	unpacked   int64
}

// read reads a tarball to its end and calls look for every file. Clients drop the first
// folder of each path, whatever its name, and unpack only files and folders.
func (t *tarball) read(ctx context.Context, f feed.File, look func(name string, size int64, r io.Reader) error) error {
	limits := tarfile.Limits{Expanded: maxUnpacked, Entries: maxEntries}
	return refusal(tarfile.Walk(ctx, f, f.Size, limits, func(h *tar.Header, r io.Reader) error {
		if strings.Contains(h.Name, `\`) { // only some clients treat it as a separator
			return fmt.Errorf("%w: %.200q", tarfile.ErrUnsafeName, h.Name)
		}
		if h.Typeflag != tar.TypeReg {
			return nil
		}
		t.files++
		t.unpacked += h.Size
		_, name, _ := strings.Cut(path.Clean(h.Name), "/")
		return look(name, h.Size, r)
	}))
}

// refusal returns proget.ErrInvalid if err means that a tarball is invalid, otherwise
// err.
func refusal(err error) error {
	switch {
	case errors.Is(err, tarfile.ErrUnsafeName):
		return proget.WrapError(proget.ErrInvalid, err, "The tarball has an entry with an unsafe path (%s).", err)
	case errors.Is(err, tarfile.ErrTooManyEntries):
		return proget.WrapError(proget.ErrInvalid, err, "The tarball has more than %d entries.", maxEntries)
	case errors.Is(err, tarfile.ErrTooLarge):
		return proget.WrapError(proget.ErrInvalid, err, "The tarball unpacks to more than %d GiB.", maxUnpacked>>30)
	case errors.Is(err, tarfile.ErrNotTar):
		return proget.WrapError(proget.ErrInvalid, err, "The file is not an npm package: it is not a gzipped tar archive, or it is damaged.")
	}
	return err
}

// look keeps what matters of a file.
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

// fillBin makes each file in a folder a command. Since the folder may be named after
// its files, fillBin reads the tarball once more.
func (p *packageJSON) fillBin(ctx context.Context, f feed.File, folder string) error {
	bin, held := make(map[string]string), 0
	err := new(tarball).read(ctx, f, func(name string, _ int64, _ io.Reader) error {
		file, ok := strings.CutPrefix("/"+name, folder)
		if !ok || file == "" || strings.Contains("/"+file, "/.") { // npm also ignores hidden files
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
