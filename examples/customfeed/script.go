package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// header is what a script says about itself in the comments at its beginning:
//
//	# name: greet
//	# version: 1.0.0
//	# description: Says hello.
type header struct {
	Name, Version, Description string
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// scripts returns the feed type "script", which keeps scripts by name and version.
func scripts() feed.Type {
	return feed.Type{
		Name: "script", Title: "Scripts",
		NameKey:         strings.ToLower,
		VersionKey:      func(version string) string { return version },
		CompareVersions: compare,
		Operations:      operations,
		Inspect:         inspect,
		Summary:         func(v *proget.Version) feed.Summary { return feed.Summary{Description: read(v).Description} },
		Install: func(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
			return []feed.Instruction{{Tool: "curl", Command: "curl -O " + base + "/" + v.Name + "/" + v.Version}}
		},
		Form:       &feed.Form{Accept: ".sh", Hint: "A script that begins with the comments name, version and description."},
		Handler:    func(s feed.Services) feed.Handler { return &handler{s} },
		WriteError: feed.WriteText,
	}
}

func compare(a, b string) int {
	va, errA := semver.StrictNewVersion(a)
	vb, errB := semver.StrictNewVersion(b)
	if errA != nil || errB != nil || va.Equal(vb) {
		return strings.Compare(a, b)
	}
	return va.Compare(vb)
}

// inspect reads the header of a script that a stranger has sent.
func inspect(_ context.Context, f feed.File) (*feed.Manifest, error) {
	fields := make(map[string]string)
	lines := bufio.NewScanner(io.NewSectionReader(f, 0, min(f.Size, 64<<10))) // a header is short
	for lines.Scan() && strings.HasPrefix(lines.Text(), "#") {
		key, value, _ := strings.Cut(strings.TrimLeft(lines.Text(), "# "), ":")
		fields[key] = strings.ToValidUTF8(strings.TrimSpace(value), "?")
	}
	if err := lines.Err(); err != nil {
		return nil, proget.WrapError(proget.ErrInvalid, err, "The script's header cannot be read: a line is too long.")
	}
	h := header{fields["name"], fields["version"], fields["description"]}
	v, err := semver.StrictNewVersion(h.Version)
	if err != nil || len(h.Version) > 64 {
		return nil, proget.WrapError(proget.ErrInvalid, err, "The script needs a semantic version of at most 64 characters, in a comment at its beginning such as %q.", "# version: 1.2.3")
	}
	if !validName.MatchString(h.Name) {
		return nil, proget.Errorf(proget.ErrInvalid, "The script's name %.70q is not valid: give 1 to 64 lower-case letters, digits and hyphens, a letter first, in a comment at its beginning such as %q.", h.Name, "# name: greet")
	}
	return &feed.Manifest{Name: h.Name, Version: h.Version, Prerelease: v.Prerelease() != "", FileName: h.Name + "-" + h.Version + ".sh", Data: h}, nil
}

func read(v *proget.Version) (h header) {
	_ = json.Unmarshal(v.Manifest, &h) // inspect encoded it
	return h
}

type handler struct{ feed.Services }

// operations maps the operations of clients to the permissions that they need.
var operations = feed.Operations{"push": proget.TaskPublish, "delete": proget.TaskManage,
	"list": proget.TaskView, "versions": proget.TaskView, "download": proget.TaskView}

// parse returns what a request is for: "list" and "push" at the feed's own address,
// "versions" at /{name}, "download" and "delete" at /{name}/{version}; otherwise "".
func parse(method, path string) (what feed.Operation, name, version string) {
	name, version, deep := strings.Cut(path, "/")
	version, err := url.PathUnescape(version)
	switch get := method == http.MethodGet || method == http.MethodHead; {
	case err != nil || deep && version == "" || strings.Contains(version, "/"):
	case path == "" && get:
		return "list", "", ""
	case path == "" && method == http.MethodPut:
		return "push", "", ""
	case !deep && get:
		return "versions", name, ""
	case deep && get:
		return "download", name, version
	case deep && method == http.MethodDelete:
		return "delete", name, version
	}
	return "", "", ""
}

// Operation implements feed.Handler.
func (h *handler) Operation(r *feed.Request) feed.Operation {
	what, _, _ := parse(r.Method, r.Path)
	return what
}

// ServeFeed implements feed.Handler.
func (h *handler) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	what, name, version := parse(r.Method, r.Path)
	switch what {
	case "push":
		return h.push(w, r)
	case "list": // ?q=words to search
		return h.list(w, r)
	case "versions":
		return h.versions(w, r, name)
	case "download":
		return h.download(w, r, name, version)
	case "delete":
		return h.Publisher.Delete(r.Context(), feed.Ref{Feed: r.Feed, NameKey: strings.ToLower(name), VersionKey: version}, r.Principal)
	}
	known := func(method string) bool { what, _, _ := parse(method, r.Path); return what != "" }
	return feed.Unknown(w, r.Request, known, "scripts are put to the feed's own address, and are at /name/version.")
}

func (h *handler) push(w http.ResponseWriter, r *feed.Request) error {
	body, err := feed.OpenBody(r.Request)
	if err != nil {
		return err
	}
	_, err = h.Publisher.Publish(r.Context(), feed.Upload{Feed: r.Feed, Body: body, Size: body.Size, Name: body.Name, By: r.Principal})
	if err == nil {
		w.WriteHeader(http.StatusCreated)
	}
	return err
}

// list responds with the scripts that match, the best first.
func (h *handler) list(w http.ResponseWriter, r *feed.Request) error {
	hits, err := h.Search.Search(r.Context(), r.Feed, feed.Query{Text: r.URL.Query().Get("q"), Prerelease: true, Take: 100})
	if err != nil {
		return err
	}
	return feed.ServeJSON(w, r, feed.JSONType, map[string]any{"total": hits.Total, "names": hits.Keys})
}

// versions responds with a document that is cached until the package changes.
func (h *handler) versions(w http.ResponseWriter, r *feed.Request, name string) error {
	p, err := h.Packages.Package(r.Context(), r.Feed, strings.ToLower(name))
	if err != nil {
		return err
	}
	doc, err := p.Document(r.Base, "application/json", func() ([]byte, error) {
		urls := make(map[string]string)
		for _, v := range p.Versions {
			if feed.Allowed(v) {
				urls[v.Version] = r.Base + "/" + p.Name + "/" + v.Version
			}
		}
		return json.Marshal(urls)
	})
	if err == nil {
		doc.Serve(w, r.Request)
	}
	return err
}

func (h *handler) download(w http.ResponseWriter, r *feed.Request, name, version string) error {
	p, err := h.Packages.Package(r.Context(), r.Feed, strings.ToLower(name))
	if err != nil {
		return err
	}
	v, err := p.Version(version)
	if err != nil {
		return err
	}
	return h.Files.Serve(w, r, v, v.Files[0], "text/x-shellscript; charset=utf-8")
}
