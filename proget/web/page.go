package web

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
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

// A page is what a handler passes to render.
type page struct {
	name    string // of its template
	title   string
	section string // the current entry of the navigation
	wide    bool   // it contains a wide table
	live    bool   // it changes by itself: browsers reload it regularly
	view    any    // the template's data
}

// layout is the data of layout.tmpl.
type layout struct {
	Title, Section string
	Wide           bool
	Refresh        bool   // the page reloads itself
	Pause          string // the URL that stops or resumes reloading; "" if not live
	User           string // "" if anonymous
	Admin          bool
	Stale          bool
	SignIn         string // URL; "" if there is no sign-in
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

// refreshSwitch is the query parameter that stops a live page from reloading, for those
// who need time to read.
const refreshSwitch = "refresh"

// render writes a page, or returns an error before it has written anything.
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
	h.Set("Cache-Control", "no-store") // permissions and content can change
	v.w.WriteHeader(status)
	_, _ = io.WriteString(v.w, text) // an error means that the visitor went away
	return nil
}

// root returns the path of the site if it is part of a larger one, otherwise "". Only
// what is sent to the browser contains it.
func (s *site) root(r *http.Request) string {
	u, err := url.Parse(s.BaseURL(r))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

// below returns the page with all links within the site prefixed with root. Quotes
// inside text are escaped, so they cannot match.
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
	l.Admin = s.administer(v) == nil // an error only hides a link
	if p.live {
		l.Refresh, l.Pause = liveness(v.URL)
	}
	return l
}

// liveness returns whether a live page reloads itself, and the URL that toggles that.
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

// headings are page headings for errors that visitors can act upon, by status.
var headings = map[int]string{
	http.StatusNotFound:              "Not found",
	http.StatusConflict:              "That cannot be done now",
	http.StatusBadRequest:            "The request is not valid",
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
	SignIn  string // URL, if another account could help

	Retrying bool // the browser reloads the page by itself
}

// fail answers with an error page. What is not meant for visitors appears in the log
// only.
func (s *site) fail(v *visit, err error) {
	e := describe(err)
	ctx := v.client.Context()
	s.logFailure(v, e.Status, err)
	switch e.Status {
	case http.StatusUnauthorized:
		v.w.Header().Set("WWW-Authenticate", challenge(v.client))
	case http.StatusServiceUnavailable:
		v.w.Header().Set("Retry-After", "2")
	case http.StatusTooManyRequests:
		v.w.Header().Set("Retry-After", strconv.Itoa(auth.RetryAfter(err)))
	}
	if e.Status == http.StatusForbidden && !v.id.Anonymous() {
		e.SignIn = signInURL(v.comeBack())
	}
	// A page that is temporarily unavailable reloads itself.
	e.Retrying = e.Status == http.StatusServiceUnavailable && v.Method == http.MethodGet
	if err := s.render(v, e.Status, page{name: "error", title: e.Title, live: e.Retrying, view: e}); err != nil {
		s.Logger.ErrorContext(ctx, "the error page could not be shown", "error", err)
		http.Error(v.w, e.Message, e.Status)
	}
}

func (s *site) logFailure(v *visit, status int, err error) {
	ctx := v.client.Context()
	if errors.Is(err, auth.ErrCredentials) { // as node does for all other requests
		s.Logger.WarnContext(ctx, "credentials were refused", "path", v.URL.Path, "remote", v.RemoteAddr, "forwarded", v.Header.Get("X-Forwarded-For"))
		return
	}
	log := s.Logger.DebugContext
	if status >= http.StatusInternalServerError && ctx.Err() == nil {
		log = s.Logger.ErrorContext
	}
	log(ctx, "a page could not be shown", "method", v.Method, "path", v.URL.Path, "status", status, "error", err)
}

// challenge asks for other credentials than those of the request. A browser that sends
// a wrong password by itself goes on until it is asked for another by Basic. For Bearer
// it shows no dialog: a key in the address, which was wrong, would remain there.
func challenge(r *http.Request) string {
	if r.Header.Get("Authorization") != "" {
		return `Basic realm="ProGet", charset="UTF-8"`
	}
	return `Bearer realm="ProGet"`
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
