package web

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/proget/feed"
)

// A Config says what the pages show and change. All fields except Types, Vet, Engine,
// Version and Logger are required.
type Config struct {
	Catalog   *catalog.Catalog
	Search    feed.Search
	Publisher feed.Publisher
	Files     feed.Files
	Authority *auth.Authority
	Admin     *admin.Administrator
	Cluster   *cluster.Registry
	Types     []feed.Type

	// Stats returns the totals of all feeds, possibly slightly out of date, by feed ID.
	Stats func(ctx context.Context) (map[int64]Totals, error)

	// Daily returns a package's downloads on each of the last so many days, oldest
	// first; the last day is today.
	Daily func(ctx context.Context, packageID int64, days int) ([]int64, error)

	// Deleted returns the newest deleted versions of a feed whose ID is less than
	// before; 0 means no bound. It returns at most limit.
	Deleted func(ctx context.Context, feedID, before int64, limit int) ([]proget.Deletion, error)

	// Restore restores one of them.
	Restore func(ctx context.Context, f *proget.Feed, deletionID int64, by proget.Principal) (*proget.Version, error)

	// Vet returns an error if a file of that name cannot be uploaded to the feed; nil
	// accepts every name.
	Vet func(ctx context.Context, f *proget.Feed, name string) error

	// Sync waits until this process has applied everything committed before the call;
	// for a change, it waits as long as a change may. An error means that the database
	// cannot be reached and memory may be out of date: pages may be shown from it, but
	// changes must not build upon it.
	Sync func(ctx context.Context, change bool) error

	// GuardChange returns an error if this server must not accept changes.
	GuardChange func() error

	// BaseURL returns the URL at which the visitor reaches the cluster, without a
	// trailing slash.
	BaseURL func(r *http.Request) string

	Engine  string       // the database engine's name, for people
	Version string       // the program's version
	Logger  *slog.Logger // default: slog.Default()
}

// Totals are the sizes of a feed.
type Totals struct {
	Packages, Versions, Bytes int64
}

// site is the state that all pages share.
type site struct {
	Config
	types  map[string]*feed.Type
	pages  map[string]*template.Template
	assets *assets
	guard  *http.CrossOriginProtection
}

// Pages serves all pages: "/" and every path below it that no other handler serves.
type Pages struct {
	http.Handler
	patterns []string
}

// Patterns returns the http.ServeMux patterns of all pages.
func (p *Pages) Patterns() []string { return p.patterns }

// Roots returns the first path segments of all pages, including "".
func Roots() []string {
	patterns := []string{assetPath}
	for _, r := range new(site).routes() {
		patterns = append(patterns, r.pattern)
	}
	for i, p := range patterns {
		_, path, _ := strings.Cut(p, "/")
		patterns[i], _, _ = strings.Cut(path, "/")
	}
	slices.Sort(patterns)
	return slices.Compact(patterns)
}

// New returns the pages. It returns an error if a required field of c is not set.
func New(c Config) (*Pages, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &site{Config: c, types: make(map[string]*feed.Type), guard: http.NewCrossOriginProtection()}
	for i := range c.Types {
		s.types[c.Types[i].Name] = &s.Types[i]
	}
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.pages, err = loadTemplates(s.assets); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	p := &Pages{Handler: withHeaders(mux)}
	handle := func(pattern string, h http.Handler) {
		mux.Handle(pattern, h)
		p.patterns = append(p.patterns, pattern)
	}
	handle("GET "+assetPath+"{file}", s.assets)
	for _, r := range s.routes() {
		handle(r.pattern, s.adapt(r.serve))
	}
	return p, nil
}

func (c *Config) check() error {
	parts := c.Catalog != nil && c.Search != nil && c.Publisher != nil && c.Files != nil && c.Authority != nil && c.Admin != nil && c.Cluster != nil
	funcs := c.Stats != nil && c.Daily != nil && c.Deleted != nil && c.Restore != nil && c.Sync != nil && c.GuardChange != nil && c.BaseURL != nil
	if !parts || !funcs {
		return errors.New("web: every field of Config but Types, Vet, Engine, Version and Logger must be set")
	}
	return nil
}

// A route is a pattern of http.ServeMux and the page that serves it.
type route struct {
	pattern string
	serve   func(*visit) error
}

// routes returns the routes of all pages. Package names may contain any character, so
// they are part of the query.
func (s *site) routes() []route {
	return []route{
		{"GET /{$}", s.home},
		{"GET /feeds", s.listFeeds},
		{"GET /feeds/{feed}", s.showFeed},
		{"GET /feeds/{feed}/package", s.showPackage},   // ?name=&version=
		{"GET /feeds/{feed}/download", s.download},     // ?name=&version=&file=
		{"POST /feeds/{feed}/status", s.changeStatus},  // ?name=&version=
		{"GET /feeds/{feed}/delete", s.confirmDelete},  // ?name=&version=
		{"POST /feeds/{feed}/delete", s.deleteVersion}, // ?name=&version=

		{"GET /feeds/{feed}/upload", s.showUpload},
		{"POST /feeds/{feed}/upload", s.upload},
		{"GET /feeds/{feed}/deleted", s.showDeleted}, // ?before=
		{"POST /feeds/{feed}/deleted", s.restore},

		{"GET " + signInPath, s.showSignIn}, // ?return=
		{"POST " + signInPath, s.signIn},
		{"POST " + signOutPath, s.signOut},
		{"GET " + accountPath, s.showAccount},
		{"POST " + accountPath, s.setPassword},

		{"GET /administration", s.showAdministration},
		{"GET /administration/jobs/{job}", s.showJob},
		{"POST /administration/jobs/{job}/cancel", s.cancelJob},
		{"GET " + scheduledPath, s.showScheduled},
		{"POST " + scheduledPath, s.scheduleTask},
		{"POST " + scheduledPath + "/run", s.runTask},
		{"GET /administration/cluster", s.showCluster},
		{"POST /administration/cluster/remove", s.removeServer},
		{"POST /administration/cluster/step-down", s.stepDown},
		{"GET /administration/load-balancing", s.showMode(loadBalancing)},
		{"POST /administration/load-balancing", s.setMode(loadBalancing)},
		{"GET /administration/high-availability", s.showMode(highAvailability)},
		{"POST /administration/high-availability", s.setMode(highAvailability)},

		{"GET /administration/create-feed", s.showCreateFeed},
		{"POST /administration/create-feed", s.createFeed},
		{"GET /administration/feeds/{feed}", s.showFeedSettings},
		{"POST /administration/feeds/{feed}", s.changeFeed},
		{"POST /administration/feeds/{feed}/delete", s.deleteFeed},
		{"GET /administration/feeds/{feed}/retention", s.showRetention}, // ?rule=
		{"POST /administration/feeds/{feed}/retention", s.saveRule},
		{"POST /administration/feeds/{feed}/retention/delete", s.deleteRule},
		{"POST /administration/feeds/{feed}/retention/run", s.runRetention},
		{"GET /administration/keys", s.showKeys},
		{"POST /administration/keys", s.createKey},
		{"POST /administration/keys/delete", s.deleteKey},
		{"GET /administration/storages", s.showStorages},
		{"POST /administration/storages", s.createStorage},
		{"POST /administration/storages/remove", s.removeStorage},
		{"GET /administration/users", s.showUsers},
		{"POST /administration/users", s.createUser},
		{"GET /administration/user", s.showUser},                  // ?subject=
		{"POST /administration/user/grant", s.grant},              // ?subject=
		{"POST /administration/user/revoke", s.revoke},            // ?subject=
		{"POST /administration/user/password", s.setUserPassword}, // ?subject=
		{"POST /administration/user/delete", s.deleteUser},        // ?subject=

		// After a refused form, the browser shows the form's own address. These routes
		// redirect visitors who reload it to the page with the form.
		{"GET /administration/jobs/{job}/cancel", s.above},
		{"GET " + scheduledPath + "/run", s.above},
		{"GET /administration/cluster/remove", s.above},
		{"GET /administration/cluster/step-down", s.above},
		{"GET /administration/feeds/{feed}/delete", s.above},
		{"GET /administration/feeds/{feed}/retention/delete", s.above},
		{"GET /administration/feeds/{feed}/retention/run", s.above},
		{"GET /administration/keys/delete", s.above},
		{"GET /administration/user/grant", s.above},    // ?subject=
		{"GET /administration/user/revoke", s.above},   // ?subject=
		{"GET /administration/user/password", s.above}, // ?subject=
		{"GET /administration/user/delete", s.above},   // ?subject=

		{"/", s.nowhere},
	}
}

func (s *site) home(v *visit) error { return v.redirect("/feeds") }

// above redirects to the parent of the request's path.
func (s *site) above(v *visit) error {
	return v.redirect(withoutKey(&url.URL{Path: path.Dir(v.URL.Path), RawQuery: v.URL.RawQuery}))
}

func (s *site) nowhere(*visit) error {
	return proget.Errorf(proget.ErrNotFound, "There is no page at this address.")
}

// contentPolicy allows a page to load this package's files, and images from wherever
// readmes have them, and nothing else.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self' data: https:; script-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// withHeaders sets the headers of every response. The referrer must stay within the
// site; without one, browsers would send no Origin with forms either.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY") // for browsers without support for frame-ancestors
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
