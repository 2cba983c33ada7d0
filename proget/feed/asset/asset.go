// Package asset serves asset directories: files of any kind at paths of the
// client's choice, as ProGet's Asset Directories API describes them. Beside its
// bytes an item has a media type, metadata of its users and a rule for caches.
//
// A file is a package whose name is its path, compared without regard to case, and
// which has one version. A folder is there as long as something is in it; one that
// was made, or about which something was said, is a package of its own, whose name
// ends in a slash and whose file is empty, and stays until it is deleted.
//
// A path is either a file or a folder. That is looked at before anything is stored, and
// again when it is recorded: of two clients that at the same moment store "a" and
// "a/b", one is refused.
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
		Form:       &feed.Form{Path: "Folder", Hint: "A file of the same path is not replaced."},
		WriteError: writeError,
	}
}

// summary shows what users say of an item as tags.
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

// quote makes a URL one word of a shell, whatever a publisher has put into it.
func quote(url string) string { return "'" + strings.ReplaceAll(url, "'", "%27") + "'" }

// readData decodes what is kept of an item.
func readData(v *proget.Version) (d data) {
	_ = json.Unmarshal(v.Manifest, &d) // it was encoded here
	return d
}

// writeError answers in plain text. ProGet's asset directories say 401 also to
// who is known but not permitted.
func writeError(w http.ResponseWriter, r *http.Request, status int, message string, err error) {
	if status == http.StatusForbidden {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="ProGet", charset="UTF-8"`)
	}
	feed.WriteText(w, r, status, message, err)
}

func isNotFound(err error) bool { return errors.Is(err, proget.ErrNotFound) }
