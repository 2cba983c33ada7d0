package nuget

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of what is decompressed from a package.
const (
	maxNuspec = 1 << 20
	maxReadme = 256 << 10
)

// inspect is feed.Type's Inspect.
func inspect(_ context.Context, f feed.File) (*feed.Manifest, error) {
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
	if m.Readme, err = p.readme(m.ReadmeFile); err != nil {
		return nil, err
	}
	v, _ := parseVersion(m.Version) // parseNuspec has made sure that it is one
	return &feed.Manifest{
		Name:       m.ID,
		Version:    m.Version,
		Prerelease: v.prerelease(),
		FileName:   nameKey(m.ID) + "." + v.key() + ".nupkg",
		Data:       m,
	}, nil
}

// A nupkg is an open package file with its entries' cleaned names.
type nupkg struct {
	source *source
	zip    *zip.Reader
	names  []string // of zip.File, by index
}

// A source remembers whether reading failed, so that a broken disk is not
// blamed on the package's author.
type source struct {
	io.ReaderAt
	err error
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// invalid returns the refusal, unless the file could not be read at all.
func (s *source) invalid(cause error, format string, args ...any) error {
	if s.err != nil {
		return s.err
	}
	return proget.WrapError(proget.ErrInvalid, cause, format, args...)
}

func openPackage(r io.ReaderAt, size int64) (*nupkg, error) {
	p := &nupkg{source: &source{ReaderAt: r}}
	err := checkZip(p.source, size)
	switch {
	case errors.Is(err, errManyFiles):
		return nil, p.source.invalid(err, "The package has more than %d entries.", maxEntries)
	case errors.Is(err, errLargeIndex):
		return nil, p.source.invalid(err, "The names of the package's entries are too long: together they may take %d MiB.", maxDirectory>>20)
	case err == nil:
		p.zip, err = zip.NewReader(p.source, size)
	}
	if err != nil {
		return nil, p.source.invalid(err, "The file is not a NuGet package: it is no zip archive, or it is damaged.")
	}
	return p, p.checkNames()
}

// checkNames refuses entries that a careless client would write outside the
// folder it extracts to.
func (p *nupkg) checkNames() error {
	p.names = make([]string, len(p.zip.File))
	for i, f := range p.zip.File {
		name := cleanName(f.Name)
		if !localName(name) {
			return p.source.invalid(nil, "The package has an entry with the unsafe path %.200q.", f.Name)
		}
		p.names[i] = name
	}
	return nil
}

// cleanName undoes what makes the same path look different: clients take a
// backslash for a separator, and decode the escapes of an entry's name, as the
// packaging standard that NuGet grew from prescribes.
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

func localName(name string) bool {
	if name == "" || name[0] == '/' || strings.Contains(name, "\x00") {
		return false
	}
	if len(name) > 1 && name[1] == ':' {
		return false // C:file
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.TrimRight(part, ". ") == "" && strings.HasPrefix(part, "..") {
			return false // Windows takes "..  " for ".."
		}
	}
	return true
}

// nuspec returns the bytes of the one .nuspec in the package's root.
func (p *nupkg) nuspec() ([]byte, error) {
	var found []*zip.File
	for i, name := range p.names {
		if !strings.Contains(name, "/") && hasSuffixFold(name, ".nuspec") {
			found = append(found, p.zip.File[i])
		}
	}
	if len(found) != 1 {
		return nil, p.source.invalid(nil, "A NuGet package has one .nuspec file in its root; this one has %d.", len(found))
	}
	text, err := p.read(found[0], maxNuspec)
	if errors.Is(err, errTooLong) {
		return nil, p.source.invalid(err, "The .nuspec is larger than %d KiB.", maxNuspec>>10)
	}
	if err != nil {
		return nil, p.source.invalid(err, "The .nuspec cannot be decompressed: the package is damaged or encrypted.")
	}
	return text, nil
}

// readme returns the text of the readme that the .nuspec names, or "" if it is
// missing, damaged or too long: nobody needs it to use the package.
func (p *nupkg) readme(path string) (string, error) {
	path = strings.TrimLeft(strings.TrimPrefix(strings.ReplaceAll(path, `\`, "/"), "./"), "/")
	for i, name := range p.names {
		if path == "" || !strings.EqualFold(name, path) {
			continue
		}
		text, err := p.read(p.zip.File[i], maxReadme)
		if p.source.err != nil {
			return "", p.source.err
		}
		if err != nil {
			return "", nil
		}
		return plainText(text), nil
	}
	return "", nil
}

// plainText makes sure that every database can store the text.
func plainText(b []byte) string {
	s := strings.TrimPrefix(string(b), "\ufeff")
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

var errTooLong = errors.New("entry too long")

// read decompresses an entry, whatever size it claims to have.
func (p *nupkg) read(f *zip.File, limit int64) ([]byte, error) {
	if f.UncompressedSize64 > uint64(limit) {
		return nil, errTooLong
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errTooLong
	}
	return text, err
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
