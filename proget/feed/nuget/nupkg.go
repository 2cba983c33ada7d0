package nuget

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/proget-go/ha/internal/zipfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of what is decompressed from a package.
const (
	maxNuspec = 1 << 20
	maxReadme = 256 << 10
	maxExtra  = 1 << 20 // of an icon or a license, as on nuget.org
)

// inspect is feed.Type's Inspect.
func inspect(ctx context.Context, f feed.File) (*feed.Manifest, error) {
	p, err := openPackage(f, f.Size)
	if err != nil {
		return nil, err
	}
	text, err := p.nuspec()
	if err != nil {
		return nil, err
	}
	m, err := parseNuspec(text)
	if err != nil {
		return nil, err
	}
	if m.hasType(symbolsType) {
		return p.inspectSymbols(ctx, m)
	}
	if m.Readme, err = p.readme(m.ReadmeFile); err != nil {
		return nil, err
	}
	v, _ := parseVersion(m.Version) // parseNuspec has checked it
	return &feed.Manifest{
		Name:       m.ID,
		Version:    m.Version,
		Prerelease: v.prerelease(),
		FileName:   nameKey(m.ID) + "." + v.key() + ".nupkg",
		Data:       m,
	}, nil
}

// A nupkg is an open package file with its entries' cleaned names.
type nupkg struct{ *zipfile.Archive }

// invalid returns proget.ErrInvalid, or the read error if the file could not be read.
func (p *nupkg) invalid(cause error, format string, args ...any) error {
	if err := p.ReadError(); err != nil {
		return err
	}
	return proget.WrapError(proget.ErrInvalid, cause, format, args...)
}

func openPackage(r io.ReaderAt, size int64) (*nupkg, error) {
	archive, err := zipfile.Open(r, size, cleanName)
	p := &nupkg{archive}
	switch {
	case err == nil:
		return p, nil
	case size == 0:
		return nil, p.invalid(err, "The request holds no package: send the file's bytes.")
	case errors.Is(err, zipfile.ErrTooManyEntries):
		return nil, p.invalid(err, "The package has more than %d entries.", zipfile.MaxEntries)
	case errors.Is(err, zipfile.ErrDirectoryTooLarge):
		return nil, p.invalid(err, "The names of the package's entries are too long: together they may take %d MiB.", zipfile.MaxDirectory>>20)
	case errors.Is(err, zipfile.ErrUnsafeName):
		return nil, p.invalid(err, "The package has an entry with an unsafe path (%s).", err)
	case errors.Is(err, zipfile.ErrDuplicateName):
		return nil, p.invalid(err, "The package has several entries with the same path (%s).", err)
	}
	return nil, p.invalid(err, "The file is not a NuGet package: it is not a zip archive, or it is damaged.")
}

// cleanName returns the canonical form of an entry's name: clients treat backslashes as
// separators and decode escapes, as the Open Packaging Conventions prescribe.
func cleanName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '%' && i+2 < len(name) {
			if n, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				c = byte(n)
				i += 2
			}
		}
		if c == '\\' {
			c = '/'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// nuspec returns the bytes of the only .nuspec in the package's root.
func (p *nupkg) nuspec() ([]byte, error) {
	var found []*zip.File
	for i, name := range p.Names {
		if !strings.Contains(name, "/") && hasSuffixFold(name, ".nuspec") {
			found = append(found, p.File[i])
		}
	}
	if len(found) != 1 {
		return nil, p.invalid(nil, "A NuGet package has one .nuspec file in its root; this one has %d.", len(found))
	}
	text, err := p.Read(found[0], maxNuspec)
	if errors.Is(err, zipfile.ErrEntryTooLong) {
		return nil, p.invalid(err, "The .nuspec is larger than %d KiB.", maxNuspec>>10)
	}
	if err != nil {
		return nil, p.invalid(err, "The .nuspec cannot be decompressed: the package is damaged or encrypted.")
	}
	return text, nil
}

// readme returns the text of the readme that the .nuspec names, or "" if it is missing,
// damaged or too long, because nobody needs it to use the package.
func (p *nupkg) readme(path string) (string, error) {
	text, err := p.entry(path, maxReadme)
	if failed := p.ReadError(); failed != nil {
		return "", failed
	}
	if err != nil {
		return "", nil
	}
	return plainText(text), nil
}

// entry returns the file at a path that the .nuspec names, or proget.ErrNotFound.
func (p *nupkg) entry(path string, limit int64) ([]byte, error) {
	path = strings.TrimLeft(strings.TrimPrefix(strings.ReplaceAll(path, `\`, "/"), "./"), "/")
	for i, name := range p.Names {
		if path != "" && strings.EqualFold(name, path) {
			return p.Read(p.File[i], limit)
		}
	}
	return nil, proget.Errorf(proget.ErrNotFound, "The package has no file %.100q.", path)
}

// plainText replaces what some database cannot store.
func plainText(b []byte) string {
	s := strings.TrimPrefix(string(b), "\ufeff")
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
