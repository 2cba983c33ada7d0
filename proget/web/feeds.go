package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// feedRow is a feed in the list.
type feedRow struct {
	Name, Title, Description, Endpoint string
	Totals                             Totals
}

// listFeeds shows every feed that the visitor may see.
func (s *site) listFeeds(v *visit) error {
	feeds, err := s.Catalog.Feeds(v.Context())
	if err != nil {
		return err
	}
	totals, err := s.Stats(v.Context())
	if err != nil && !v.stale {
		return err
	}
	var rows []feedRow
	for _, f := range feeds {
		t, known := s.types[f.Type]
		visible, err := s.may(v, proget.TaskView, f)
		if err != nil {
			return err
		}
		if known && visible && f.Active {
			rows = append(rows, feedRow{f.Name, t.Title, f.Description, s.endpoint(v, t, f), totals[f.ID]})
		}
	}
	if len(rows) == 0 && v.id.Anonymous() {
		return v.redirect(signInURL(v.comeBack()))
	}
	return s.render(v, http.StatusOK, page{name: "feeds", title: "Feeds", section: "feeds", view: rows})
}

// pageSize is the number of packages on one page of a feed.
const pageSize = 25

// feedView is one feed with a page of its packages.
type feedView struct {
	Feed           *proget.Feed
	Title          string
	Endpoint       string
	Query          string
	Prerelease     bool
	Total          int
	Packages       []packageRow
	Previous, Next string // URLs; "" if there is none
}

type packageRow struct {
	Name, Version, Summary, URL string
	Tags                        []string
	Downloads                   int64
}

func (s *site) showFeed(v *visit) error {
	f, t, err := s.openFeed(v, proget.TaskView)
	if err != nil {
		return err
	}
	q := v.URL.Query()
	view := feedView{Feed: f, Title: t.Title, Endpoint: s.endpoint(v, t, f), Query: q.Get("q"), Prerelease: q.Has("prerelease")}
	skip, _ := strconv.Atoi(q.Get("skip")) // what is no number is the beginning
	skip = max(skip, 0)
	hits, err := s.Search.Search(v.Context(), f, feed.Query{Text: view.Query, Prerelease: view.Prerelease, Skip: skip, Take: pageSize})
	if err != nil {
		return err
	}
	view.Total = hits.Total
	for _, key := range hits.Keys {
		p, err := s.Catalog.Package(v.Context(), f, key)
		if errors.Is(err, proget.ErrNotFound) {
			continue // deleted a moment ago
		}
		if err != nil {
			return err
		}
		view.Packages = append(view.Packages, newPackageRow(f, t, p, view.Prerelease))
	}
	view.page(v.URL, skip)
	return s.render(v, http.StatusOK, page{name: "feed", title: f.Name, section: "feeds", view: view})
}

func newPackageRow(f *proget.Feed, t *feed.Type, p *feed.Package, prerelease bool) packageRow {
	latest := p.Latest(func(v *proget.Version) bool { return v.Status.Listed && (prerelease || !v.Prerelease) })
	if latest == nil {
		latest = p.Versions[len(p.Versions)-1]
	}
	sum := t.Summary(latest)
	row := packageRow{Name: latest.Name, Version: latest.Version, Summary: excerpt(sum.Description, 180), Tags: sum.Tags,
		URL: packageURL(f, latest.Name, latest.Version)}
	row.Tags = row.Tags[:min(len(row.Tags), 6)]
	for _, each := range p.Versions {
		row.Downloads += each.Downloads
	}
	return row
}

// page sets the links to the pages before and after.
func (view *feedView) page(u *url.URL, skip int) {
	at := func(skip int) string {
		q := u.Query()
		q.Set("skip", strconv.Itoa(skip))
		return u.Path + "?" + q.Encode()
	}
	if skip > 0 {
		view.Previous = at(max(skip-pageSize, 0))
	}
	if skip+pageSize < view.Total {
		view.Next = at(skip + pageSize)
	}
}

func packageURL(f *proget.Feed, name, version string) string {
	return "/feeds/" + url.PathEscape(f.Name) + "/package?" + versionQuery(name, version)
}

func versionQuery(name, version string) string {
	return url.Values{"name": {name}, "version": {version}}.Encode()
}
