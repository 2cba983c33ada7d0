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
	stalePatience = 3 * time.Second // how long reads wait if the database cannot be reached
	maxForm       = 64 << 10        // bytes of a submitted form
)

// A visit is a request to a page.
type visit struct {
	*http.Request               // its context ends soon if the database cannot be reached
	client        *http.Request // the original request, for slow operations
	whole         io.ReadCloser // its body, without the limit for forms
	w             http.ResponseWriter
	root          string // the path below which the site lies; "" for the root
	id            auth.Identity
	stale         bool // memory may be out of date
}

// adapt turns a page into an http.Handler. No other code turns errors into responses.
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
		s.fail(v, err) // the request brought wrong credentials; signing in would not replace them
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

// guardChange refuses changes if the server is not sure that it belongs to the cluster.
// Visitors can still read, and sign in.
func (s *site) guardChange(v *visit) error {
	if v.reads() || v.URL.Path == signInPath || v.URL.Path == signOutPath {
		return nil
	}
	return s.GuardChange()
}

// reads reports whether the request cannot change anything.
func (v *visit) reads() bool { return v.Method == http.MethodGet || v.Method == http.MethodHead }

// refuseForgery returns proget.ErrDenied for a change that another site made the
// browser send. It accepts a form of this site even if a proxy has rewritten the Host
// header, which is compared only for browsers that do not send Sec-Fetch-Site.
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

// comeBack returns the page to return to after signing in: this one or, because a form
// cannot be sent again, the page that the form was on.
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

// withoutKey returns the path and query of a page without an API key in it, because
// pages must not repeat keys.
func withoutKey(u *url.URL) string {
	q := u.Query()
	if !q.Has("key") {
		return u.RequestURI()
	}
	q.Del("key")
	return (&url.URL{Path: u.Path, RawQuery: q.Encode()}).RequestURI()
}

// redirect sends the visitor to another page of this site, with GET.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.client, v.root+path, http.StatusSeeOther)
	return nil
}

// openFeed returns the feed in the request's path and its type, if the visitor may
// perform the task in it.
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

// administer returns nil if the visitor may administer the installation.
func (s *site) administer(v *visit) error {
	return s.Authority.Authorize(v.id, proget.TaskAdminister, nil)
}

// endpoint returns the URL that users enter in the feed's clients.
func (s *site) endpoint(v *visit, t *feed.Type, f *proget.Feed) string {
	return t.URL(s.BaseURL(v.client), f)
}
