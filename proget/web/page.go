package web

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

//go:embed templates
var templateFiles embed.FS

const layoutFile = "layout.tmpl"

// A page is what a handler gives to be rendered.
type page struct {
	name    string // of its template
	title   string
	section string // the navigation's entry that is current
	wide    bool   // has a table that wants room
	live    bool   // changes by itself: the browser is asked to load it again
	view    any    // the template's data
}

// layout is the data of layout.tmpl.
type layout struct {
	Title, Section string
	Wide           bool
	Refresh        bool   // loads itself again
	Pause          string // the URL that stops or resumes that; "" if not live
	User           string // "" if anonymous
	Admin          bool
	Stale          bool
	SignIn         string // URL; "" if there is nothing to sign in to
	Version        string
	Main           any
}

// loadTemplates parses each page together with the layout.
func loadTemplates(a *assets) (map[string]*template.Template, error) {
	base, err := template.New(layoutFile).Funcs(functions(a)).ParseFS(templateFiles, "templates/"+layoutFile)
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/*.tmpl")
	if err != nil {
		return nil, err
	}
	pages := make(map[string]*template.Template)
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".tmpl")
		if path.Base(file) == layoutFile {
			continue
		}
		t, err := template.Must(base.Clone()).ParseFS(templateFiles, file)
		if err != nil {
			return nil, fmt.Errorf("parse the page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

// refreshSwitch is the query parameter that stops a live page from loading
// itself again, for those who need time to read.
const refreshSwitch = "refresh"

// render writes a page, or returns an error before anything is written.
func (s *site) render(v *visit, status int, p page) error {
	t, ok := s.pages[p.name]
	if !ok {
		return fmt.Errorf("there is no page %s", p.name)
	}
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, "layout", s.layout(v, p)); err != nil {
		return fmt.Errorf("render the page %s: %w", p.name, err)
	}
	text := below(v.root, body.String())
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store") // who may see it can change, and so can what it shows
	v.w.WriteHeader(status)
	_, _ = io.WriteString(v.w, text) // an error means that the visitor went away
	return nil
}

// root is the path below which the pages lie, where they are part of a larger site: ""
// if they are not. Only what goes to the browser has it.
func (s *site) root(r *http.Request) string {
	u, err := url.Parse(s.BaseURL(r))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

// below returns a page whose links within the site lead below root. In text, quotes
// are escaped.
func below(root, text string) string {
	if root == "" {
		return text
	}
	var pairs []string
	for _, attribute := range []string{" href=", " src=", " action="} {
		pairs = append(pairs, attribute+`"//`, attribute+`"//`, attribute+`"/`, attribute+`"`+root+`/`)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func (s *site) layout(v *visit, p page) layout {
	l := layout{Title: p.title, Section: p.section, Wide: p.wide, Stale: v.stale, Version: s.Version, Main: p.view}
	switch {
	case !v.id.Anonymous():
		l.User = v.id.String()
	case v.URL.Path != signInPath:
		l.SignIn = signInURL(v.comeBack())
	}
	l.Admin = s.administer(v) == nil // an error hides a link, no more
	if p.live {
		l.Refresh, l.Pause = liveness(v.URL)
	}
	return l
}

// liveness returns whether a live page loads itself again, and the URL that
// changes that.
func liveness(u *url.URL) (refresh bool, other string) {
	q := u.Query()
	q.Del("key") // see withoutKey
	if refresh = q.Get(refreshSwitch) != "off"; refresh {
		q.Set(refreshSwitch, "off")
	} else {
		q.Del(refreshSwitch)
	}
	return refresh, (&url.URL{Path: u.Path, RawQuery: q.Encode()}).RequestURI()
}

// headings are those of the errors that visitors can do something about, by status.
var headings = map[int]string{
	http.StatusNotFound:              "Not found",
	http.StatusConflict:              "That cannot be done now",
	http.StatusBadRequest:            "The request cannot be understood",
	http.StatusUnauthorized:          "Please sign in",
	http.StatusForbidden:             "No permission",
	http.StatusRequestEntityTooLarge: "Too large",
	http.StatusTooManyRequests:       "Too many attempts",
	http.StatusInsufficientStorage:   "Storage is full",
	http.StatusServiceUnavailable:    "Temporarily unavailable",
}

// errorView is the data of error.tmpl.
type errorView struct {
	Status  int
	Title   string
	Message string
	SignIn  string // URL, where another account could help

	Retrying bool // the browser loads the page again by itself
}

// fail answers with an error's page. What is not meant for visitors goes to
// the log alone.
func (s *site) fail(v *visit, err error) {
	e := describe(err)
	ctx := v.client.Context()
	log := s.Logger.DebugContext
	if e.Status >= http.StatusInternalServerError && ctx.Err() == nil {
		log = s.Logger.ErrorContext
	}
	log(ctx, "a page could not be shown", "method", v.Method, "path", v.URL.Path, "status", e.Status, "error", err)
	switch e.Status {
	case http.StatusServiceUnavailable:
		v.w.Header().Set("Retry-After", "2")
	case http.StatusTooManyRequests:
		v.w.Header().Set("Retry-After", strconv.Itoa(auth.RetryAfter(err)))
	}
	if e.Status == http.StatusForbidden && !v.id.Anonymous() {
		e.SignIn = signInURL(v.comeBack())
	}
	// A page that could not be had for the moment tries again by itself.
	e.Retrying = e.Status == http.StatusServiceUnavailable && v.Method == http.MethodGet
	if err := s.render(v, e.Status, page{name: "error", title: e.Title, live: e.Retrying, view: e}); err != nil {
		s.Logger.ErrorContext(ctx, "the error page could not be shown", "error", err)
		http.Error(v.w, e.Message, e.Status)
	}
}

func describe(err error) errorView {
	e := errorView{Status: feed.Status(err), Message: proget.Message(err)}
	e.Title = cmp.Or(headings[e.Status], "Something went wrong")
	switch {
	case e.Message != "":
	case e.Status == http.StatusServiceUnavailable:
		e.Message = "The server cannot answer right now. Try again shortly."
	default:
		e.Message = "The server failed to answer; its log says why."
	}
	return e
}
