package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

const (
	stalePatience = 3 * time.Second // of reads while the database cannot be reached
	maxForm       = 64 << 10        // bytes of a submitted form
)

// A visit is a request on its way through a page.
type visit struct {
	*http.Request               // its context ends soon if the database is away
	client        *http.Request // the request as it came, for what takes long
	whole         io.ReadCloser // its body, not bounded as that of a form is
	w             http.ResponseWriter
	root          string // the path below which the site lies; "" if it is one of its own
	id            auth.Identity
	stale         bool // what is in memory may be old
}

// adapt makes an http.Handler of a page. It is the one place where errors
// become answers.
func (s *site) adapt(serve func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Request: r, client: r, whole: r.Body, w: w, root: s.root(r)}
		if err := s.refuseForgery(r); err != nil {
			s.fail(v, err)
			return
		}
		err := s.Sync(r.Context(), !v.reads())
		if err != nil && !v.reads() {
			s.fail(v, err)
			return
		}
		if v.stale = err != nil; v.stale {
			ctx, cancel := context.WithTimeout(r.Context(), stalePatience)
			defer cancel()
			v.Request = r.WithContext(ctx)
		}
		s.visit(v, serve)
	})
}

func (s *site) visit(v *visit, serve func(*visit) error) {
	var err error
	if v.id, err = s.Authority.Authenticate(v.Request); err != nil {
		s.fail(v, err) // credentials that came with the request; signing in would not replace them
		return
	}
	if err = s.guardChange(v); err != nil {
		s.fail(v, err)
		return
	}
	v.Body = http.MaxBytesReader(v.w, v.Body, maxForm)
	err = serve(v)
	if errors.Is(err, proget.ErrUnauthenticated) && v.id.Anonymous() {
		err = v.redirect(signInURL(v.comeBack()))
	}
	if err != nil {
		s.fail(v, err)
	}
}

// guardChange refuses what a server must not take that is not sure of belonging
// to the cluster. It can still be read, and so signed in to.
func (s *site) guardChange(v *visit) error {
	if v.reads() || v.URL.Path == signInPath || v.URL.Path == signOutPath {
		return nil
	}
	return s.GuardChange()
}

// reads reports whether the request changes nothing.
func (v *visit) reads() bool { return v.Method == http.MethodGet || v.Method == http.MethodHead }

// refuseForgery returns proget.ErrDenied for a change that a browser was led
// to by another site. A form of this very site passes even if a proxy in front
// has rewritten the Host header, which only browsers without
// Sec-Fetch-Site are compared with.
func (s *site) refuseForgery(r *http.Request) error {
	origin := r.Header.Get("Origin")
	base, err := url.Parse(s.BaseURL(r))
	if r.Header.Get("Sec-Fetch-Site") == "" && origin != "" && err == nil && origin == base.Scheme+"://"+base.Host {
		return nil
	}
	if err := s.guard.Check(r); err != nil {
		return proget.WrapError(proget.ErrDenied, err, "This request came from another site and was refused.")
	}
	return nil
}

// comeBack returns the page to return to after signing in: this one, or, since
// a form cannot be sent again, the page it was on.
func (v *visit) comeBack() string {
	if v.reads() {
		return withoutKey(v.URL)
	}
	from, err := url.Parse(v.Referer())
	if err != nil || from.Host != v.Host {
		return "/feeds"
	}
	from.Path, from.RawPath = strings.TrimPrefix(from.Path, v.root), ""
	return withoutKey(from)
}

// withoutKey returns path and query of a page without the API key that it may have
// been asked for with: pages do not repeat keys.
func withoutKey(u *url.URL) string {
	q := u.Query()
	if !q.Has("key") {
		return u.RequestURI()
	}
	q.Del("key")
	return (&url.URL{Path: u.Path, RawQuery: q.Encode()}).RequestURI()
}

// redirect sends the visitor to another page of this site with GET.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.client, v.root+path, http.StatusSeeOther)
	return nil
}

// openFeed returns the feed in the request's path if the visitor may do the task in it.
func (s *site) openFeed(v *visit, task proget.Task) (*proget.Feed, *feed.Type, error) {
	f, err := s.Catalog.Feed(v.Context(), v.PathValue("feed"))
	if err != nil {
		return nil, nil, s.Authority.Disclose(v.id, err)
	}
	if err := s.Authority.AuthorizeIn(v.id, task, f); err != nil {
		return nil, nil, err
	}
	t, err := feed.TypeOf(s.Types, f)
	return f, t, err
}

// administer returns nil if the visitor may change the installation.
func (s *site) administer(v *visit) error {
	return s.Authority.Authorize(v.id, proget.TaskAdminister, nil)
}

// endpoint returns the URL that clients of a feed are given.
func (s *site) endpoint(v *visit, t *feed.Type, f *proget.Feed) string {
	return t.URL(s.BaseURL(v.client), f)
}
