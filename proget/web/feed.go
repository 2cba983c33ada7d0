package web

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const (
	pageSize = 25           // packages on one page of a feed
	maxSkip  = 10_000 - 25  // a search for text finds nothing beyond that
	rowTags  = 6            // tags of a package shown in the list
	rowText  = 220          // characters of its description shown in the list
	queryMax = 200          // bytes of a search text that are used
	skipName = "skip"       // query parameter: packages before the page
	preName  = "prerelease" // query parameter: include prerelease versions
	textName = "q"          // query parameter: the search text
)

// feedView is one feed with a page of its packages.
type feedView struct {
	Name, Type, Description string
	URL, Endpoint           string
	Query                   string
	Noun                    string      // what the feed contains, in words
	Unversioned             bool        // there are no prereleases
	Folder                  *folderView // shown instead of Packages; nil if there is none
	Prerelease              bool
	Total, First, Last      int // how many packages; the numbers of those shown, from 1
	Packages                []packageRow
	Held                    bool   // the feed contains packages although none is shown
	Previous, Next          string // URLs; "" if there is none
	Beyond                  bool   // the search finds more than its pages show, and this is the last
	Upload                  string // URL of the upload form; "" if the visitor may not upload or there is none
	Deleted                 string // URL of the deleted versions; "" if the visitor may not restore them
}

// packageRow is a package in the list.
type packageRow struct {
	Name, Title, Summary, Authors, URL string
	Label                              label
	Prerelease, Deprecated, Unlisted   bool
	Tags                               []string
	Downloads                          int64
	Published                          time.Time
}

func (s *site) showFeed(v *visit) error {
	f, t, err := s.openFeed(v, proget.TaskView)
	if err != nil {
		return err
	}
	view, skip := newFeedView(f, t, v.URL.Query())
	view.Endpoint = t.StartURL(s.BaseURL(v.client), f)
	if err := s.offer(v, f, t, &view); err != nil {
		return err
	}
	if t.Folder != nil && view.Query == "" && !v.stale { // search results come from memory
		view.Folder, err = s.folder(v, f, t)
	} else {
		err = s.find(v, f, t, &view, skip)
	}
	if err != nil {
		return err
	}
	return s.render(v, http.StatusOK, page{name: "feed", title: f.Name, section: "feeds", view: view})
}

// find shows the packages that the visitor searches for, or all.
func (s *site) find(v *visit, f *proget.Feed, t *feed.Type, view *feedView, skip int) error {
	hits, err := s.Search.Search(v.Context(), f, feed.Query{Text: view.Query, Prerelease: view.Prerelease, Skip: skip, Take: pageSize})
	if err != nil {
		return err
	}
	for _, key := range hits.Keys {
		p, err := s.Catalog.Package(v.Context(), f, key)
		if errors.Is(err, proget.ErrNotFound) {
			continue // the package was just deleted
		}
		if err != nil {
			return err
		}
		view.Packages = append(view.Packages, newPackageRow(f, t, p, view.Prerelease))
	}
	view.page(hits.Total, skip)
	if view.Query != "" && skip == 0 {
		if err := s.findUnlisted(v, f, t, view); err != nil {
			return err
		}
	}
	if view.Query == "" && len(view.Packages) == 0 && !v.stale {
		names, err := s.Catalog.Names(v.Context(), f, "", 1) // statistics lag a little
		if err != nil {
			return err
		}
		view.Held = len(names) > 0
	}
	return nil
}

// offer adds links to what the visitor may do in the feed.
func (s *site) offer(v *visit, f *proget.Feed, t *feed.Type, view *feedView) error {
	publish, err := s.Authority.Allows(v.id, proget.TaskPublish, f)
	if err != nil {
		return err
	}
	if publish && t.Form != nil {
		view.Upload = uploadURL(f)
	}
	manage, err := s.Authority.Allows(v.id, proget.TaskManage, f)
	if manage {
		view.Deleted = deletedURL(f)
	}
	return err
}

// findUnlisted adds the package with exactly the searched name if none of its versions
// is listed. Searches omit such packages, so the feed's managers could not find again
// what they unlisted.
func (s *site) findUnlisted(v *visit, f *proget.Feed, t *feed.Type, view *feedView) error {
	if view.Deleted == "" || v.stale {
		return nil
	}
	p, err := s.Catalog.Package(v.Context(), f, t.NameKey(strings.TrimSpace(view.Query)))
	if errors.Is(err, proget.ErrNotFound) || errors.Is(err, proget.ErrInvalid) { // the text may not be a valid name
		return nil
	}
	if err != nil {
		return err
	}
	if p.Latest(feed.Listed) == nil {
		view.Packages = slices.Insert(view.Packages, 0, newPackageRow(f, t, p, view.Prerelease))
		view.Total, view.Last = view.Total+1, view.Last+1
	}
	return nil
}

// newFeedView reads a feed page's query.
func newFeedView(f *proget.Feed, t *feed.Type, q url.Values) (view feedView, skip int) {
	view = feedView{Name: f.Name, Type: t.Title, Description: f.Description, URL: feedURL(f), Query: q.Get(textName), Prerelease: q.Has(preName)}
	view.Noun = "package"
	if view.Unversioned = t.Naming.Unversioned; view.Unversioned {
		view.Noun, view.Prerelease = "file", true
	}
	view.Query = view.Query[:min(len(view.Query), queryMax)]
	skip, _ = strconv.Atoi(q.Get(skipName)) // an invalid value means the first page
	if skip = min(max(skip, 0), math.MaxInt32); view.Query != "" {
		skip = min(skip, maxSkip)
	}
	return view, skip
}

func newPackageRow(f *proget.Feed, t *feed.Type, p *feed.Package, prerelease bool) packageRow {
	shown := newest(t.Front(p), prerelease)
	sum := t.Summary(shown)
	row := packageRow{Name: shown.Name, Label: labelOf(t, tagsOf(p.Package, shown.Key), shown), Title: sum.Title, Authors: excerpt(sum.Authors, 60),
		Summary: excerpt(sum.Description, rowText), URL: packageURL(f, shown.Name, ""), Prerelease: shown.Prerelease,
		Deprecated: shown.Status.Deprecated != "", Unlisted: !shown.Status.Listed, Tags: sum.Tags[:min(len(sum.Tags), rowTags)], Published: shown.Published}
	if prerelease {
		row.URL = packageURL(f, shown.Name, shown.Version)
	}
	if row.Title == row.Name {
		row.Title = ""
	}
	for _, each := range p.Versions {
		row.Downloads += each.Downloads
	}
	return row
}

// newest returns the version that represents a package: the newest that is listed and
// not blocked, and stable if there is one and prereleases are not requested; otherwise
// the newest that is listed, or the newest of all.
func newest(p *feed.Package, prerelease bool) *proget.Version {
	first := feed.AllowedStable
	if prerelease {
		first = feed.AllowedListed
	}
	return cmp.Or(p.Latest(first, feed.AllowedListed, feed.Listed, feed.Any), &proget.Version{Name: p.Name}) // a package without versions no longer exists
}

// page sets the links to the pages before and after.
func (view *feedView) page(total, skip int) {
	view.Total, view.First, view.Last = total, skip+1, skip+len(view.Packages)
	if skip > 0 {
		view.Previous = view.at(max(skip-pageSize, 0))
	}
	if skip+pageSize < total {
		if view.Beyond = view.Query != "" && skip >= maxSkip; !view.Beyond {
			view.Next = view.at(skip + pageSize)
		}
	}
}

// at returns the URL of the page that skips so many packages.
func (view *feedView) at(skip int) string {
	q := url.Values{}
	if view.Query != "" {
		q.Set(textName, view.Query)
	}
	if view.Prerelease {
		q.Set(preName, "on")
	}
	if skip > 0 {
		q.Set(skipName, strconv.Itoa(skip))
	}
	return view.URL + "?" + q.Encode()
}

// packageURL returns the URL of a version's page, or of the newest version's if version
// is "".
func packageURL(f *proget.Feed, name, version string) string {
	return feedURL(f) + "/package?" + versionQuery(name, version)
}

func versionQuery(name, version string) string {
	q := url.Values{"name": {name}}
	if version != "" {
		q.Set("version", version)
	}
	return q.Encode()
}
