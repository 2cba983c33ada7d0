package pypi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// apiVersion is the version of the simple API that the documents follow: that of PEP
// 700. Later versions only add features that are not supported here: tracks, provenance
// and the status of projects.
const apiVersion = "1.1"

// accept chooses the serialization of a response. If the client accepts none, it
// responds with 406, as the specification recommends, and returns false.
func accept(w http.ResponseWriter, r *feed.Request) (serialization, bool) {
	w.Header().Set("Vary", "Accept")
	s, ok := negotiate(r.Request)
	if !ok {
		feed.WriteText(w, r.Request, http.StatusNotAcceptable, "The index is there as application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html and text/html; the header Accept names none of them.", nil)
	}
	return s, ok
}

// project serves a project's page.
func (h *handler) project(w http.ResponseWriter, r *feed.Request, rt route) error {
	key := nameKey(rt.name)
	if !validName.MatchString(key) {
		return proget.Errorf(proget.ErrNotFound, "No package can be called %.200q.", rt.name)
	}
	if rt.name != key || !rt.slash {
		return redirect(w, r, simplePath+"/"+key+"/")
	}
	p, err := h.find(r, key)
	if err != nil {
		return err
	}
	s, ok := accept(w, r)
	if !ok {
		return nil
	}
	doc, err := p.Document(s.contentType+" "+r.Base, s.contentType, func() ([]byte, error) {
		if s.json {
			return projectJSON(r.Base, p)
		}
		return projectHTML(r.Base, p), nil
	})
	if err != nil {
		return fmt.Errorf("render the page of %s: %w", p.Name, err)
	}
	doc.Serve(w, r.Request)
	return nil
}

// each calls fn for every file that clients see, beginning with the oldest version.
func each(p *feed.Package, fn func(v *proget.Version, f proget.File, d fileData)) {
	for _, v := range p.Versions {
		if v.Status.Blocked {
			continue
		}
		for _, f := range v.Files {
			fn(v, f, readFileData(f))
		}
	}
}

// yanked reports whether a version is yanked in the sense of PEP 592, and why. Clients
// install a yanked version only if asked for exactly that version.
func yanked(v *proget.Version) (reason string, is bool) {
	return v.Status.Deprecated, v.Status.Deprecated != "" || !v.Status.Listed
}

// projectHTML renders a project's page: "HTML Serialization" in the specification.
func projectHTML(base string, p *feed.Package) []byte {
	var b strings.Builder
	name := html.EscapeString(p.Name)
	b.WriteString(htmlHead("Links for " + name))
	each(p, func(v *proget.Version, f proget.File, d fileData) {
		fmt.Fprintf(&b, "<a href=\"%s#sha256=%s\"", html.EscapeString(fileURL(base, p.Key, f.Name)), f.Digests[proget.SHA256])
		if d.RequiresPython != "" {
			fmt.Fprintf(&b, " data-requires-python=\"%s\"", html.EscapeString(d.RequiresPython))
		}
		if d.Metadata != "" { // also under the name that PEP 658 defined first
			fmt.Fprintf(&b, " data-core-metadata=\"sha256=%s\" data-dist-info-metadata=\"sha256=%[1]s\"", d.Metadata)
		}
		if reason, is := yanked(v); is {
			fmt.Fprintf(&b, " data-yanked=\"%s\"", html.EscapeString(reason))
		}
		fmt.Fprintf(&b, ">%s</a><br>\n", html.EscapeString(f.Name))
	})
	b.WriteString(htmlTail)
	return []byte(b.String())
}

func htmlHead(title string) string {
	return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"pypi:repository-version\" content=\"" + apiVersion + "\">\n<title>" +
		title + "</title>\n</head>\n<body>\n<h1>" + title + "</h1>\n"
}

const htmlTail = "</body>\n</html>\n"

// meta is part of every JSON document.
type meta struct {
	Version string `json:"api-version"`
}

// simpleProject is a project's page: "JSON Serialization" in the specification.
type simpleProject struct {
	Meta     meta         `json:"meta"`
	Name     string       `json:"name"`
	Versions []string     `json:"versions"`
	Files    []simpleFile `json:"files"`
}

type simpleFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	RequiresPython string            `json:"requires-python,omitempty"`
	Metadata       any               `json:"core-metadata"` // false, or hashes
	Size           int64             `json:"size"`
	UploadTime     string            `json:"upload-time"`
	Yanked         any               `json:"yanked"` // a boolean, or the reason
}

// timeFormat has the highest precision that clients can parse.
const timeFormat = "2006-01-02T15:04:05.000000Z"

func projectJSON(base string, p *feed.Package) ([]byte, error) {
	doc := simpleProject{Meta: meta{apiVersion}, Name: p.Key, Versions: []string{}, Files: []simpleFile{}}
	for _, v := range p.Versions {
		if !v.Status.Blocked {
			doc.Versions = append(doc.Versions, v.Version)
		}
	}
	each(p, func(v *proget.Version, f proget.File, d fileData) {
		file := simpleFile{Filename: f.Name, URL: fileURL(base, p.Key, f.Name), Hashes: map[string]string{"sha256": f.Digests[proget.SHA256]},
			RequiresPython: d.RequiresPython, Metadata: false, Size: f.Size, UploadTime: f.Added.UTC().Format(timeFormat), Yanked: false}
		if d.Metadata != "" {
			file.Metadata = map[string]string{"sha256": d.Metadata}
		}
		if reason, is := yanked(v); reason != "" {
			file.Yanked = reason
		} else if is {
			file.Yanked = true
		}
		doc.Files = append(doc.Files, file)
	})
	return json.Marshal(doc)
}

// projectsPage is how many projects are read at a time for the list of all projects.
const projectsPage = 100

// projects serves the list of all projects while reading it.
func (h *handler) projects(w http.ResponseWriter, r *feed.Request, rt route) error {
	if !rt.slash {
		return redirect(w, r, simplePath+"/")
	}
	page, err := h.services.Packages.Names(r.Context(), r.Feed, "", projectsPage)
	if err != nil {
		return err
	}
	s, ok := accept(w, r)
	if !ok {
		return nil
	}
	w.Header().Set("Content-Type", s.contentType)
	w.Header().Set("Cache-Control", "no-cache")
	if r.Method == http.MethodHead {
		return nil
	}
	list := newProjectList(w, s.json)
	for len(page) > 0 {
		for _, p := range page {
			list.add(p)
		}
		if page, err = h.services.Packages.Names(r.Context(), r.Feed, page[len(page)-1].Key, projectsPage); err != nil {
			h.services.Logger.WarnContext(r.Context(), "the list of projects was cut short", "feed", r.Feed.Name, "error", err)
			panic(http.ErrAbortHandler) // a partial list must not look complete
		}
	}
	list.end()
	return nil
}

// A projectList writes the list of projects. It ignores write errors, which mean that
// the client went away.
type projectList struct {
	out    *bufio.Writer
	asJSON bool
	some   bool
}

func newProjectList(w io.Writer, asJSON bool) *projectList {
	l := &projectList{out: bufio.NewWriterSize(w, 32<<10), asJSON: asJSON}
	if asJSON {
		_, _ = l.out.WriteString(`{"meta":{"api-version":"` + apiVersion + `"},"projects":[`)
	} else {
		_, _ = l.out.WriteString(htmlHead("Simple index"))
	}
	return l
}

func (l *projectList) add(p feed.Name) {
	if !l.asJSON {
		_, _ = fmt.Fprintf(l.out, "<a href=\"%s/\">%s</a><br>\n", html.EscapeString(p.Key), html.EscapeString(p.Name))
		return
	}
	if l.some {
		_ = l.out.WriteByte(',')
	}
	l.some = true
	text, _ := json.Marshal(map[string]string{"name": p.Name}) // of strings: does not fail
	_, _ = l.out.Write(text)
}

func (l *projectList) end() {
	if l.asJSON {
		_, _ = l.out.WriteString("]}")
	} else {
		_, _ = l.out.WriteString(htmlTail)
	}
	_ = l.out.Flush()
}
