package maven

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A folder is the path of a folder. It can stand for several things at once:
// com/acme/lib is the artifact com.acme:lib and, if it exists, the group com.acme.lib.
type folder []string

// group returns the groupId that the folder stands for.
func (f folder) group() (string, bool) {
	for _, part := range f {
		if !validGroup.MatchString(part) {
			return "", false
		}
	}
	return strings.Join(f, "."), len(f) > 0
}

// artifact returns the package that the folder stands for.
func (f folder) artifact() (coordinates, bool) {
	if len(f) < 2 {
		return coordinates{}, false
	}
	group, ok := f[:len(f)-1].group()
	c := coordinates{group, f[len(f)-1]}
	return c, ok && validArtifact.MatchString(c.artifact) && len(c.name()) <= maxName
}

// version returns the version that the folder stands for.
func (f folder) version() (c coordinates, version string, ok bool) {
	if len(f) < 3 {
		return c, "", false
	}
	c, ok = f[:len(f)-1].artifact()
	return c, f[len(f)-1], ok
}

// An entry is a line of a listing.
type entry struct {
	Name string // with a trailing slash for a folder
	URL  string
	Size int64     // 0 if unknown
	Time time.Time // zero if unknown
}

// listing is the data of a folder's page.
type listing struct {
	Title   string
	Up      string // "" for the top folder
	Entries []entry
	More    bool // there are more entries than are shown
}

// maxEntries bounds the subfolders of a group that are listed.
const maxEntries = 1000

var listingPage = template.Must(template.New("listing").Funcs(template.FuncMap{
	"date": func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format("2006-01-02 15:04:05")
	},
	"size": func(size int64) string {
		if size == 0 {
			return "-"
		}
		return fmt.Sprint(size)
	},
}).Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title></head><body>
<h1>{{.Title}}</h1>
<table>
<thead><tr><th align="left">Name</th><th align="left">Changed (UTC)</th><th align="right">Size (bytes)</th></tr></thead>
<tbody>
{{- if .Up}}
<tr><td><a href="{{.Up}}">../</a></td><td></td><td></td></tr>{{end}}
{{- range .Entries}}
<tr><td><a href="{{.URL}}">{{.Name}}</a></td><td>{{date .Time}}</td><td align="right">{{size .Size}}</td></tr>{{end}}
</tbody>
</table>
{{- if .More}}
<p>There are more folders than are shown here.</p>{{end}}
</body></html>
`))

// browse lists a folder.
func (h *handler) browse(w http.ResponseWriter, r *feed.Request, segments []string) error {
	return h.browseOr(w, r, segments, proget.Errorf(proget.ErrNotFound, "There is no %.300s in feed %s.", strings.Join(segments, "/"), r.Feed.Name))
}

// browseOr lists a folder, or returns the error if there is none.
func (h *handler) browseOr(w http.ResponseWriter, r *feed.Request, segments []string, none error) error {
	in := folder(segments)
	found := &finder{handler: h, r: r, entries: make(map[string]entry)}
	if err := errors.Join(found.files(in), found.versions(in), found.groups(in)); err != nil {
		return err
	}
	if len(found.entries) == 0 && len(in) > 0 {
		return none
	}
	l := listing{Title: r.Feed.Name + ": /" + strings.Join(in, "/"), More: found.more}
	self := r.Base + "/"
	for _, segment := range in {
		l.Up = self
		self += url.PathEscape(segment) + "/"
	}
	for _, name := range slices.Sorted(maps.Keys(found.entries)) {
		e := found.entries[name]
		e.Name, e.URL = name, self+url.PathEscape(strings.TrimSuffix(name, "/"))
		if strings.HasSuffix(name, "/") {
			e.URL += "/"
		}
		l.Entries = append(l.Entries, e)
	}
	var body bytes.Buffer
	if err := listingPage.Execute(&body, l); err != nil {
		return fmt.Errorf("render a folder: %w", err)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	feed.NewDocument("text/html; charset=utf-8", body.Bytes()).Serve(w, r.Request)
	return nil
}

// A finder collects the contents of a folder.
type finder struct {
	*handler
	r       *feed.Request
	entries map[string]entry // by name
	more    bool
}

// files adds the files of a version.
func (f *finder) files(in folder) error {
	c, version, ok := in.version()
	if !ok {
		return nil
	}
	p, err := f.find(f.r, c)
	if p == nil || err != nil {
		return err
	}
	v, err := p.Version(version)
	if err != nil || v.Status.Blocked {
		return nil
	}
	for _, file := range v.Files {
		f.entries[file.Name] = entry{Size: file.Size, Time: file.Added}
	}
	if isSnapshot(version) {
		f.entries[metadataName] = entry{}
	}
	return nil
}

// versions adds the versions of an artifact.
func (f *finder) versions(in folder) error {
	c, ok := in.artifact()
	if !ok {
		return nil
	}
	p, err := f.find(f.r, c)
	if p == nil || err != nil {
		return err
	}
	for _, v := range p.Versions {
		if feed.AllowedListed(v) {
			f.entries[v.Version+"/"] = entry{Time: v.Published}
			f.entries[metadataName] = entry{}
		}
	}
	return nil
}

// groups adds the artifacts of a group and the groups below it.
func (f *finder) groups(in folder) error {
	group, ok := in.group()
	if len(in) > 0 {
		if !ok {
			return nil
		}
		artifacts, err := f.artifacts(f.r, group, maxEntries)
		if err != nil {
			return err
		}
		for _, artifact := range artifacts {
			f.entries[artifact+"/"] = entry{}
		}
		f.more = len(artifacts) == maxEntries
		group += "."
	}
	return f.subgroups(group)
}

// subgroups adds the folders below a prefix of groupIds. For each folder it asks for
// one name, and then for the next name outside that folder.
func (f *finder) subgroups(prefix string) error {
	after := prefix
	for range maxEntries {
		next, err := f.services.Packages.Names(f.r.Context(), f.r.Feed, after, 1)
		if err != nil || len(next) == 0 {
			return err
		}
		rest, ok := strings.CutPrefix(next[0].Key, prefix)
		if !ok {
			return nil
		}
		end := strings.IndexAny(rest, ".:")
		if end < 0 {
			return nil // not a valid package name of this type
		}
		f.entries[rest[:end]+"/"] = entry{}
		after = prefix + rest[:end] + string(rest[end]+1) // the character after a dot or colon, so that the next name is outside
	}
	f.more = true
	return nil
}
