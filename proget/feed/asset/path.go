package asset

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/proget-go/ha/proget"
)

// Bounds of paths. The length is that of a package's name in the database.
const (
	maxPath  = 400 // bytes, as spelt and in lower case
	maxDepth = 64  // segments
)

// A path is the place of an item below its directory, as somebody spelt it:
// segments with slashes between them. "" is the directory itself.
type path string

// readPath reads a path of a client's or an archive's. Backslashes separate, too,
// as in ProGet's clients; slashes at either end are dropped. What could mean
// another place to whoever unpacks it, or cannot be shown, is refused.
func readPath(text string) (path, error) {
	p := path(strings.Trim(strings.ReplaceAll(text, `\`, "/"), "/"))
	if p == "" {
		return "", nil
	}
	if len(p) >= maxPath || len(p.key()) >= maxPath { // a folder's name takes a slash more
		return "", proget.Errorf(proget.ErrInvalid, "The path %.60q… is too long: %d bytes are the most.", text, maxPath-1)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) {
		return "", proget.Errorf(proget.ErrInvalid, "The path %.100q is not valid: it must be UTF-8 without control characters.", text)
	}
	if strings.Count(string(p), "/") >= maxDepth {
		return "", proget.Errorf(proget.ErrInvalid, "The path %.100q has more than %d folders.", text, maxDepth-1)
	}
	for segment := range strings.SplitSeq(string(p), "/") {
		if strings.Trim(segment, ". ") == "" { // to Windows, ".. " is ".."
			return "", proget.Errorf(proget.ErrInvalid, "The path %.100q is not valid: a part of it is empty or has dots alone.", text)
		}
	}
	return p, nil
}

// unprintable reports control characters, and what Unicode has for no character:
// walk relies on nothing being sorted after those.
func unprintable(r rune) bool { return unicode.IsControl(r) || r&0xFFFE == 0xFFFE }

// key is the normal form by which paths are compared.
func (p path) key() string { return strings.ToLower(string(p)) }

// folder is the name of a folder's own package.
func (p path) folder() string { return string(p) + "/" }

// folderKey is what the key of that package is, and what the keys of all that is
// in the folder begin with. For the directory itself that is nothing.
func (p path) folderKey() string {
	if p == "" {
		return ""
	}
	return p.key() + "/"
}

// split returns the folder in which an item is, and its name there.
func (p path) split() (parent path, name string) {
	i := strings.LastIndexByte(string(p), '/')
	if i < 0 {
		return "", string(p)
	}
	return p[:i], string(p[i+1:])
}

// above yields the folders in which an item is, the nearest first, without the
// directory itself.
func (p path) above(yield func(path) bool) {
	for parent, _ := p.split(); parent != ""; parent, _ = parent.split() {
		if !yield(parent) {
			return
		}
	}
}

// join returns the path of something in a folder.
func (p path) join(rest path) path {
	if p == "" || rest == "" {
		return p + rest
	}
	return p + "/" + rest
}

// escape returns the path as part of a URL.
func (p path) escape() string {
	segments := strings.Split(string(p), "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return strings.Join(segments, "/")
}
