package universal

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"

	"github.com/proget-go/ha/proget"
)

// The file name endings. A virtual package is a manifest that lists from what the
// package is assembled.
const (
	upackEnding = ".upack"
	vpackEnding = ".vpack"
)

// maxContents bounds the number of resources of a virtual package.
const maxContents = 1000

// virtual is the part of a .vpack that the server reads, besides manifest.
type virtual struct {
	Contents     []resource `json:"contents"`
	MetaContents []resource `json:"metaContents"`
}

// A resource is a component of a virtual package: the identification string of a
// package, a URL, or an object.
type resource struct {
	Type        *string `json:"type"` // virtualDirectory or virtualFile
	VirtualPath string  `json:"virtualPath"`
	TargetPath  string  `json:"targetPath"` // the older name of VirtualPath
	Source      source  `json:"source"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (r *resource) UnmarshalJSON(text []byte) error {
	var id string
	if json.Unmarshal(text, &id) == nil {
		*r = resource{}
		return r.Source.UnmarshalJSON(text)
	}
	type object resource
	return json.Unmarshal(text, (*object)(r))
}

// A source is where a resource comes from: a package of the feed, a URL, or a file of
// an asset directory.
type source struct {
	Group       string `json:"group"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	PackagePath string `json:"packagePath"` // in the package; default package/
	URL         string `json:"url"`
	Feed        string `json:"feed"`
	Asset       string `json:"asset"`
	Hash        string `json:"hash"` // SHA-1 of the package or file; "" for any
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *source) UnmarshalJSON(text []byte) error {
	var id string
	if json.Unmarshal(text, &id) != nil {
		type object source
		return json.Unmarshal(text, (*object)(s))
	}
	*s = source{}
	if isURL(id) {
		s.URL = id
		return nil
	}
	return s.identify(id)
}

// identify parses group/name:version[:sha1]. Some write a colon after the group.
func (s *source) identify(id string) error {
	parts := strings.Split(id, ":")
	if n := len(parts); n == 4 || n == 3 && !isVersion(parts[1]) {
		parts = append([]string{parts[0] + "/" + parts[1]}, parts[2:]...)
	}
	if len(parts) != 2 && len(parts) != 3 {
		return proget.Errorf(proget.ErrInvalid, "%.100q does not identify a package: use group/name:version or group/name:version:sha1.", id)
	}
	i := strings.LastIndexByte(parts[0], '/')
	s.Group, s.Name, s.Version = parts[0][:max(i, 0)], parts[0][i+1:], parts[1]
	if len(parts) == 3 {
		s.Hash = parts[2]
	}
	return nil
}

// fullName returns the name of the package that a source refers to.
func (s source) fullName() string { return manifest{Group: s.Group, Name: s.Name}.fullName() }

// check returns an error if the source does not identify anything.
func (s source) check() error {
	if s.Hash != "" && !isSHA1(s.Hash) {
		return proget.Errorf(proget.ErrInvalid, "The hash %.60q is not a SHA-1 in hexadecimal digits.", s.Hash)
	}
	kinds := 0
	for _, given := range []bool{s.URL != "", s.Feed != "" || s.Asset != "", s.Name != "" || s.Version != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return proget.Errorf(proget.ErrInvalid, "A source of a virtual package is a package (name and version), a file (url), or an asset (feed and asset), and one of these only.")
	}
	switch {
	case s.URL != "":
		_, err := readURL(s.URL)
		return err
	case s.Name != "":
		if err := (manifest{Group: s.Group, Name: s.Name, Version: s.Version}).check(); err != nil {
			return err
		}
		_, err := cleanPath(s.PackagePath)
		return err
	case s.Feed == "" || s.Asset == "":
		return proget.Errorf(proget.ErrInvalid, "A source that is an asset has both feed and asset.")
	}
	_, err := cleanPath(s.Asset)
	return err
}

func isSHA1(text string) bool {
	return len(text) == 40 && strings.Trim(strings.ToLower(text), "0123456789abcdef") == ""
}

// cleanPath returns a path within an archive, without slashes at its ends. It refuses a
// path that leads out of the archive.
func cleanPath(text string) (string, error) {
	p := strings.Trim(strings.ReplaceAll(text, `\`, "/"), "/")
	bad := len(p) > 1000 || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
	for segment := range strings.SplitSeq(p, "/") {
		bad = bad || p != "" && strings.Trim(segment, ". ") == "" || len(segment) > 1 && segment[1] == ':'
	}
	if bad {
		return "", proget.Errorf(proget.ErrInvalid, "The path %.100q is not valid within a package.", text)
	}
	return p, nil
}

// readVirtual parses the manifest of a virtual package.
func readVirtual(text []byte) (*virtual, error) {
	v := new(virtual)
	if err := json.Unmarshal(text, v); err != nil {
		if proget.Message(err) != "" {
			return nil, err
		}
		return nil, proget.WrapError(proget.ErrInvalid, err, "contents and metaContents of a virtual package are lists of identification strings, URLs, or objects with a source.")
	}
	all := len(v.Contents) + len(v.MetaContents)
	if all == 0 || all > maxContents {
		return nil, proget.Errorf(proget.ErrInvalid, "A virtual package has 1 to %d contents.", maxContents)
	}
	for _, r := range v.Contents {
		if err := r.check(false); err != nil {
			return nil, err
		}
	}
	for _, r := range v.MetaContents {
		if err := r.check(true); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// check returns an error if the resource cannot have a place in a package.
func (r resource) check(meta bool) error {
	if r.Type != nil && *r.Type != "virtualDirectory" && *r.Type != "virtualFile" {
		return proget.Errorf(proget.ErrInvalid, "The type of a virtual content is %.40q; use virtualDirectory or virtualFile.", *r.Type)
	}
	if err := r.Source.check(); err != nil {
		return err
	}
	_, err := r.place(meta)
	return err
}

// isFile reports whether a resource is a single file of a package.
func (r resource) isFile() bool { return r.Type != nil && *r.Type == "virtualFile" }

// place returns where in the package a resource goes: the path of a file for a single
// file, otherwise a folder.
func (r resource) place(meta bool) (string, error) {
	text := r.VirtualPath
	if text == "" {
		text = r.TargetPath
	}
	p, err := cleanPath(text)
	if err != nil {
		return "", err
	}
	if name := r.fileName(); name != "" && (p == "" || strings.HasSuffix(text, "/")) {
		p = path.Join(p, name)
	}
	if !meta {
		return path.Join("package", p), nil
	}
	if taken(p) {
		return "", proget.Errorf(proget.ErrInvalid, "%q cannot be among the metaContents of a virtual package.", p)
	}
	return p, nil
}

// taken reports whether metaContents must not use a path.
func taken(p string) bool {
	lower := strings.ToLower(p)
	return lower == manifestName || lower == "package" || strings.HasPrefix(lower, contentPrefix)
}

// fileName returns the name of a resource that is a file, otherwise "".
func (r resource) fileName() string {
	from := r.Source.Asset
	if r.Source.URL != "" {
		if u, err := url.Parse(r.Source.URL); err == nil {
			from = u.Path
		}
	} else if r.isFile() && from == "" {
		from = r.Source.PackagePath
	}
	p, err := cleanPath(from)
	if err != nil || p == "" {
		return ""
	}
	return path.Base(p)
}

// isVirtual reports whether a version is a virtual package.
func isVirtual(v *proget.Version) bool { return strings.HasSuffix(v.Files[0].Name, vpackEnding) }
