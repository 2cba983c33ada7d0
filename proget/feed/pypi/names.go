package pypi

import (
	"regexp"
	"strings"

	"github.com/proget-go/ha/proget"
)

// Bounds in bytes. Clients also use a file's name on their own disks.
const (
	maxName     = 200
	maxVersion  = 200
	maxFileName = 255
)

// validName matches valid names, as in "Names and normalization" of the PyPA's
// specifications.
var validName = regexp.MustCompile(`^([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])$`)

var separators = regexp.MustCompile(`[-_.]+`)

// nameKey returns the normal form of a name, as on the same page and in PEP 503.
func nameKey(name string) string {
	return strings.ToLower(separators.ReplaceAllString(name, "-"))
}

// escaped returns the form of a normalized name in file names.
func escaped(key string) string { return strings.ReplaceAll(key, "-", "_") }

func checkName(name string) error {
	if len(name) > maxName || !validName.MatchString(name) {
		return proget.Errorf(proget.ErrInvalid, "The name %.80q is not valid: use up to %d letters, digits, '.', '_' and '-', beginning and ending with a letter or a digit.", name, maxName)
	}
	return nil
}

// The types of files, named as in the upload form and the JSON API.
const (
	wheelType = "bdist_wheel"
	sdistType = "sdist"
)

// A distribution is a parsed file name.
type distribution struct {
	file     string
	kind     string // wheelType or sdistType
	stem     string // the name without its ending
	ending   string
	python   string   // a wheel's Python tag: "py3", "py2.py3", "cp312"; "source" for an sdist
	wheelFor []string // name and version of a wheel, as written
}

const (
	wheelEnding = ".whl"
	zipEnding   = ".zip"
	tarEnding   = ".tar.gz"
)

// validFileName allows the characters of names, versions and tags, so that a name is
// safe in paths, URLs and headers.
var validFileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!-]*$`)

// parseFileName parses the name of a file.
func parseFileName(file string) (*distribution, error) {
	if len(file) > maxFileName || !validFileName.MatchString(file) {
		return nil, proget.Errorf(proget.ErrInvalid, "The file name %.100q is not valid: it consists of up to %d letters, digits and '.', '_', '-', '+' and '!'.", file, maxFileName)
	}
	d := &distribution{file: file, kind: sdistType, python: "source"}
	for _, ending := range []string{wheelEnding, tarEnding, zipEnding} {
		if stem, ok := strings.CutSuffix(file, ending); ok {
			d.stem, d.ending = stem, ending
			if ending == wheelEnding {
				return d, d.parseWheel()
			}
			return d, nil
		}
	}
	if strings.HasSuffix(file, ".egg") {
		return nil, proget.Errorf(proget.ErrInvalid, "%s is an egg, which pip has not installed since 2023 (PEP 715): build a wheel instead.", file)
	}
	return nil, proget.Errorf(proget.ErrInvalid, "%s is neither a wheel (.whl) nor a source distribution (.tar.gz or .zip), which alone can be published (PEP 527).", file)
}

// parseWheel parses a wheel's name: "File name convention" in the PyPA's "Binary
// distribution format".
func (d *distribution) parseWheel() error {
	parts := strings.Split(d.stem, "-")
	n := len(parts)
	bad := n != 5 && n != 6
	for _, part := range parts {
		bad = bad || part == ""
	}
	if bad || n == 6 && !isDigit(parts[2][0]) {
		return proget.Errorf(proget.ErrInvalid, "%s is not the name of a wheel: use name-version[-build]-python-abi-platform.whl, where a build begins with a digit.", d.file)
	}
	d.kind, d.python, d.wheelFor = wheelType, parts[n-3], parts[:2]
	return nil
}

// belongsTo returns an error if the file's name is not one for that package and
// version.
func (d *distribution) belongsTo(name string, v version) error {
	if d.kind == wheelType {
		if isOf(d.wheelFor[0], d.wheelFor[1], name, v) {
			return nil
		}
	} else {
		for i, c := range d.stem { // in older files, both parts may contain hyphens
			if c == '-' && isOf(d.stem[:i], d.stem[i+1:], name, v) {
				return nil
			}
		}
	}
	return proget.Errorf(proget.ErrInvalid, "The file's metadata is of %s %s, but the file is named %s: that begins with %s-%s.", name, v, d.file, escaped(nameKey(name)), v)
}

// isOf reports whether a written name and version are the given ones. In older wheels,
// underscores replace the hyphens of a version.
func isOf(written, writtenVersion, name string, v version) bool {
	o, ok := parseVersion(writtenVersion)
	return ok && nameKey(written) == nameKey(name) && o.key() == v.key()
}
