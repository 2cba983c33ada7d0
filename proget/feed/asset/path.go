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
	maxPath  = 400 // bytes, both as spelt and in lower case
	maxDepth = 64  // segments
)

// A path is the location of an item below its directory, as somebody spelt it: segments
// separated by slashes. "" is the directory itself.
type path string

// readPath parses a path from a client or an archive. Backslashes also separate, as in
// ProGet's clients; slashes at either end are dropped. It refuses paths that could mean
// a different place to a program that unpacks them, or that cannot be displayed.
func readPath(text string) (path, error) {
	p := path(strings.Trim(strings.ReplaceAll(text, `\`, "/"), "/"))
	if p == "" {
		return "", nil
	}
	if len(p) >= maxPath || len(p.key()) >= maxPath { // a folder's name has an additional slash
		return "", proget.Errorf(proget.ErrInvalid, "The path %.60q… is too long: %d bytes are the most.", text, maxPath-1)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) {
		return "", proget.Errorf(proget.ErrInvalid, "The path %.100q is not valid: it must be UTF-8 without control characters.", text)
	}
	if strings.Count(string(p), "/") >= maxDepth {
		return "", proget.Errorf(proget.ErrInvalid, "The path %.100q has more than %d folders.", text, maxDepth-1)
	}
	for segment := range strings.SplitSeq(string(p), "/") {
		if strings.Trim(segment, ". ") == "" { // Windows treats ".. " as ".."
			return "", proget.Errorf(proget.ErrInvalid, "The path %.100q is not valid: a part of it is empty or has dots alone.", text)
		}
	}
	return p, nil
}

// checkNew returns an error if nothing new can have the path. A part that ends in a space
// is the same as one without it to SQL Server and Windows. What has such a path from before
// can be read and deleted.
func (p path) checkNew() error {
	for segment := range strings.SplitSeq(string(p), "/") {
		if strings.HasSuffix(segment, " ") {
			return proget.Errorf(proget.ErrInvalid, "The path %.100q is not valid: a part of it ends in a space.", p)
		}
	}
	return nil
}

// unprintable reports whether r is a control character or a Unicode noncharacter: walk
// relies on nothing sorting after those.
func unprintable(r rune) bool { return unicode.IsControl(r) || r&0xFFFE == 0xFFFE }

// key returns the normal form by which paths are compared.
func (p path) key() string { return strings.ToLower(string(p)) }

// folder returns the name of a folder's own package.
func (p path) folder() string { return string(p) + "/" }

// folderKey returns the key of that package, which is also the prefix of the keys of
// everything in the folder. For the directory itself, it is "".
func (p path) folderKey() string {
	if p == "" {
		return ""
	}
	return p.key() + "/"
}

// split returns the folder of an item, and its name there.
func (p path) split() (parent path, name string) {
	i := strings.LastIndexByte(string(p), '/')
	if i < 0 {
		return "", string(p)
	}
	return p[:i], string(p[i+1:])
}

// above yields the folders that contain an item, innermost first, without the directory
// itself.
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
