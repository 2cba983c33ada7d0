// Package asset serves asset directories, as ProGet's Asset Directories API describes
// them: files of any kind at paths of the client's choice. Besides its bytes, an item
// has a media type, metadata from its users and a caching rule.
//
// A file is a package whose name is its path, compared without regard to case, and
// which has one version. A folder exists as long as it contains something. A folder
// that was created, or that has metadata, is a separate package whose name ends in a
// slash and whose file is empty; it stays until it is deleted.
//
// A path is either a file or a folder. This is checked before anything is stored, and
// again when it is recorded: if two clients store "a" and "a/b" at the same moment, one
// is refused.
//
// Both times, the conditions of the request are checked, too, such as If-Match: several
// writers of one file do not overwrite each other's.
package asset

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// fixedVersion is the version of every item.
const fixedVersion = "1"

// New returns the feed type "asset", mounted under /endpoints/.
func New() feed.Type {
	return feed.Type{
		Name: "asset", Title: "Asset directory", Mount: "endpoints",
		Algorithms: []proget.Algorithm{proget.MD5, proget.SHA1, proget.SHA512},
		NameKey:    strings.ToLower, VersionKey: func(v string) string { return v }, CompareVersions: strings.Compare,
		Folder:     func(nameKey string) bool { return strings.HasSuffix(nameKey, "/") },
		Fits:       fits,
		Naming:     feed.Naming{Unversioned: true},
		Operations: operations,
		Inspect:    inspect, Summary: summary, Install: install,
		Handler:    func(s feed.Services) feed.Handler { return &handler{s} },
		Form:       &feed.Form{Path: "Folder", Hint: "An existing file with the same path is not replaced."},
		WriteError: writeError,
	}
}

// summary shows the users' metadata of an item as tags.
func summary(v *proget.Version) feed.Summary {
	d := readData(v)
	s := feed.Summary{}
	for key, m := range d.UserMetadata {
		s.Tags = append(s.Tags, key+"="+m.Value)
	}
	slices.Sort(s.Tags)
	if d.Type != "" {
		s.Types = []string{d.Type}
	}
	return s
}

func install(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
	p := path(strings.TrimSuffix(v.Name, "/"))
	if strings.HasSuffix(v.Name, "/") {
		return []feed.Instruction{{Tool: "curl", Command: "curl " + quote(base+"/dir/"+p.escape())}}
	}
	return []feed.Instruction{{Tool: "curl", Command: "curl -O -J " + quote(base+"/content/"+p.escape())}}
}

// quote makes a URL a single shell word, whatever a publisher has put into it.
func quote(url string) string { return "'" + strings.ReplaceAll(url, "'", "%27") + "'" }

// readData decodes what is stored of an item.
func readData(v *proget.Version) (d data) {
	_ = json.Unmarshal(v.Manifest, &d) // it was encoded here
	return d
}

// writeError answers in plain text. Like ProGet's asset directories, it also answers
// 401 if the caller is known but not permitted.
func writeError(w http.ResponseWriter, r *http.Request, status int, message string, err error) {
	if status == http.StatusForbidden {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="ProGet", charset="UTF-8"`)
	}
	feed.WriteText(w, r, status, message, err)
}

func isNotFound(err error) bool { return errors.Is(err, proget.ErrNotFound) }
