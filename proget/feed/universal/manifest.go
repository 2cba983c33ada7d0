package universal

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/Masterminds/semver/v3"

	"github.com/proget-go/ha/internal/zipfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// manifestName is the manifest's name at the archive's root.
const manifestName = "upack.json"

// maxManifest bounds the manifest, in bytes.
const maxManifest = 1 << 20

// manifest is the part of upack.json that the server reads.
type manifest struct {
	Group            string   `json:"group,omitempty"`
	Name             string   `json:"name"`
	Version          string   `json:"version"`
	Title            string   `json:"title,omitempty"`
	ProjectURL       string   `json:"projectUrl,omitempty"`
	Icon             string   `json:"icon,omitempty"`
	Description      string   `json:"description,omitempty"`
	ShortDescription string   `json:"shortDescription,omitempty"`
	Tags             []string `json:"tags,omitempty"`
	Dependencies     []string `json:"dependencies,omitempty"`
}

// fullName returns the package's name within a feed: group/name, or name alone.
func (m manifest) fullName() string {
	if m.Group == "" {
		return m.Name
	}
	return m.Group + "/" + m.Name
}

var (
	validName  = regexp.MustCompile(`^[0-9A-Za-z._-]{1,50}$`)
	validGroup = regexp.MustCompile(`^[0-9A-Za-z._-]+(/[0-9A-Za-z._-]+)*$`)
	validTag   = regexp.MustCompile(`^[A-Za-z._-][0-9A-Za-z._-]{0,49}$`)
)

// isVersion reports whether text is a version as upack.json defines it.
func isVersion(text string) bool {
	_, err := semver.StrictNewVersion(text)
	return err == nil
}

// check returns proget.ErrInvalid with a sentence for the package's author.
func (m manifest) check() error {
	invalid := func(format string, args ...any) error { return proget.Errorf(proget.ErrInvalid, format, args...) }
	switch {
	case !validName.MatchString(m.Name) || strings.Trim(m.Name, ".") == "":
		return invalid("The name %.60q in upack.json is not valid: use 1 to 50 letters, digits, '.', '_' and '-'.", m.Name)
	case m.Group != "" && (len(m.Group) > 250 || !validGroup.MatchString(m.Group) || dotted(m.Group)):
		return invalid("The group %.60q in upack.json is not valid: use up to 250 letters, digits, '.', '_', '-' and '/' between them.", m.Group)
	case utf8.RuneCountInString(m.Title) > 50:
		return invalid("The title in upack.json has more than 50 characters.")
	case utf8.RuneCountInString(m.ShortDescription) > 1000:
		return invalid("The shortDescription in upack.json has more than 1000 characters.")
	case len(m.Version) > 255:
		return invalid("The version in upack.json has more than 255 characters.")
	}
	if _, err := semver.StrictNewVersion(m.Version); err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The version %.60q in upack.json is not a SemVer 2.0.0 version such as 1.2.3.", m.Version)
	}
	seen := make(map[string]bool)
	for _, tag := range m.Tags {
		if seen[tag] {
			return invalid("The tag %.60q is in upack.json twice.", tag)
		}
		seen[tag] = true
		if !validTag.MatchString(tag) {
			return invalid("The tag %.60q in upack.json is not valid: use 1 to 50 letters, digits, '.', '_' and '-', beginning with no digit.", tag)
		}
	}
	return nil
}

// checkKeys refuses an object with duplicate keys, ignoring case, because readers
// differ in which of the two they use.
func checkKeys(object []byte) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil { // the brace
		return err
	}
	seen := make(map[string]bool)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		folded := strings.ToLower(strings.ToUpper(key.(string))) // as encoding/json compares keys
		if seen[folded] {
			return proget.Errorf(proget.ErrInvalid, "upack.json has the key %.60q more than once, upper and lower case being the same.", key)
		}
		seen[folded] = true
		if err := d.Decode(new(json.RawMessage)); err != nil {
			return err
		}
	}
	return nil
}

// dotted reports whether a segment of the group is "." or "..".
func dotted(group string) bool {
	for part := range strings.SplitSeq(group, "/") {
		if strings.Trim(part, ".") == "" {
			return true
		}
	}
	return false
}

// inspect is feed.Type's Inspect. A file that begins like a JSON object is a virtual
// package.
func inspect(_ context.Context, f feed.File) (*feed.Manifest, error) {
	text, ending, err := manifestOf(f)
	if err != nil {
		return nil, err
	}
	m, whole, err := readJSON(text)
	if err != nil {
		return nil, err
	}
	if ending == vpackEnding {
		if _, err := readVirtual(text); err != nil {
			return nil, err
		}
	}
	version, _ := semver.StrictNewVersion(m.Version) // check has validated it
	return &feed.Manifest{
		Name: m.fullName(), Version: m.Version, Prerelease: version.Prerelease() != "",
		FileName: m.Name + "-" + m.Version + ending, Data: whole,
	}, nil
}

// manifestOf returns the manifest in a package file, and the file name ending for such
// files.
func manifestOf(f feed.File) (text []byte, ending string, err error) {
	start := make([]byte, 512)
	n, err := f.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(start[:n], "\ufeff \t\r\n"), []byte("{")) {
		a, err := open(f, f.Size)
		if err != nil {
			return nil, "", err
		}
		text, err = a.manifest()
		return text, upackEnding, err
	}
	if f.Size > maxManifest {
		return nil, "", proget.Errorf(proget.ErrInvalid, "A virtual package's manifest has at most %d KiB.", maxManifest>>10)
	}
	text, err = io.ReadAll(io.NewSectionReader(f, 0, f.Size))
	if err != nil {
		return nil, "", err
	}
	text, err = checkText(text)
	return text, vpackEnding, err
}

// readJSON parses a manifest, both as the server's struct and as a map, which also
// keeps unknown fields.
func readJSON(text []byte) (m manifest, whole map[string]any, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		return m, nil, proget.WrapError(proget.ErrInvalid, err, "upack.json is not a JSON object of the expected form.")
	}
	if err := m.check(); err != nil {
		return m, nil, err
	}
	if err := checkKeys(text); err != nil {
		return m, nil, err
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return m, nil, proget.WrapError(proget.ErrInvalid, err, "upack.json is not a JSON object.")
	}
	return m, whole, nil
}

// upack is an open package file.
type upack struct{ *zipfile.Archive }

func open(r readerAt, size int64) (*upack, error) {
	archive, err := zipfile.Open(r, size, nil)
	a := &upack{archive}
	switch {
	case err == nil:
		return a, nil
	case size == 0:
		return nil, a.invalid(err, "The request holds no package: send the file's bytes.")
	case errors.Is(err, zipfile.ErrUnsafeName):
		return nil, a.invalid(err, "The package has an entry with an unsafe path (%s).", err)
	case errors.Is(err, zipfile.ErrDuplicateName):
		return nil, a.invalid(err, "The package has several entries with the same path (%s).", err)
	case errors.Is(err, zipfile.ErrTooManyEntries), errors.Is(err, zipfile.ErrDirectoryTooLarge):
		return nil, a.invalid(err, "The package has more than %d entries, or their names are too long.", zipfile.MaxEntries)
	}
	return nil, a.invalid(err, "The file is not a universal package: it is not a zip archive, or it is damaged.")
}

type readerAt interface {
	ReadAt(p []byte, off int64) (int, error)
}

// invalid returns proget.ErrInvalid, or the read error if the file could not be read.
func (a *upack) invalid(cause error, format string, args ...any) error {
	if err := a.ReadError(); err != nil {
		return err
	}
	return proget.WrapError(proget.ErrInvalid, cause, format, args...)
}

// manifest returns the bytes of the only upack.json, ignoring the case of its name.
func (a *upack) manifest() ([]byte, error) {
	var found []*zip.File
	for i, name := range a.Names {
		if strings.EqualFold(name, manifestName) {
			found = append(found, a.File[i])
		}
	}
	if len(found) != 1 {
		return nil, a.invalid(nil, "A universal package has one file upack.json in its root; this one has %d.", len(found))
	}
	text, err := a.Read(found[0], maxManifest)
	if errors.Is(err, zipfile.ErrEntryTooLong) {
		return nil, a.invalid(err, "upack.json is larger than %d KiB.", maxManifest>>10)
	}
	if err != nil {
		return nil, a.invalid(err, "upack.json cannot be decompressed: the package is damaged.")
	}
	return checkText(text)
}

// checkText returns the text of a manifest, without a byte order mark.
func checkText(text []byte) ([]byte, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) || bytes.Contains(text, []byte(`\u0000`)) {
		return nil, proget.Errorf(proget.ErrInvalid, "upack.json is not valid UTF-8 text.")
	}
	return text, nil
}
