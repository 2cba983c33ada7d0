package web

import (
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const (
	shownVersions = 50   // versions on a package's page before the rest is left out
	maxVersions   = 1000 // versions on it if all are asked for
	shownTags     = 20   // tags of one version
	maxLicense    = 200  // bytes of a license that is not a full text
)

// packageView is one version of a package.
type packageView struct {
	FeedName, FeedURL string
	Version           *proget.Version
	Label             label
	TagsName          bool   // people know versions by tags
	Unversioned       bool   // people never see versions
	Title             string // "" if it adds nothing to the name
	Authors           string
	Tags              []tag
	Website           string
	License           string
	LicenseURL        string
	Description       template.HTML
	Readme            template.HTML
	Install           []feed.Instruction
	Files             []fileRow
	Groups            []dependencyGroup
	Dependencies      int
	Versions          []versionRow
	VersionCount      int
	Rest              int         // versions that are not among Versions
	MaxVersions       int         // that a page can show
	AllVersions       string      // URL that also shows them, if they are not too many; "" if there are none or this is it
	Newer             *versionRow // a newer version to look at instead; nil if there is none
	Downloads         int64       // of all versions
	Daily             *sparkline  // their last days; nil if there is nothing to show
	Manage            bool
	StatusURL         string
	DeleteURL         string
}

type tag struct{ Name, URL string }

type fileRow struct {
	Name    string
	URL     string // "" if pages do not offer the file
	Size    int64
	Digests []digest
}

type digest struct {
	Algorithm string // "SHA-256"
	Hex       string
}

// dependencyGroup is a version's dependencies for one framework or scope.
type dependencyGroup struct {
	Name         string // "" if the type has no groups
	Dependencies []dependencyRow
}

type dependencyRow struct {
	feed.Dependency
	URL string // URL of a search for it in the same feed
}

type versionRow struct {
	*proget.Version
	URL     string
	Current bool
	Label   label
	Short   label    // the version without tags
	Tags    []string // tags that point at it, without the one in its label
}

// chosen is the version that a request refers to.
type chosen struct {
	feed    *proget.Feed
	typ     *feed.Type
	pkg     *feed.Package
	version *proget.Version
}

func (c *chosen) label() label {
	return labelOf(c.typ, tagsOf(c.pkg.Package, c.version.Key), c.version)
}

// install returns the commands that use the version, by the name that people know.
func (c *chosen) install(base string) []feed.Instruction {
	known := *c.version
	if tags := tagsOf(c.pkg.Package, known.Key); c.typ.TagsName && len(tags) > 0 {
		known.Version = tags[0]
	}
	return c.typ.Install(base, c.feed, &known)
}

func (c *chosen) ref() feed.Ref {
	return feed.Ref{Feed: c.feed, NameKey: c.pkg.Key, VersionKey: c.version.Key}
}

// url returns the URL of a page of the version.
func (c *chosen) url(action string) string {
	return feedURL(c.feed) + "/" + action + "?" + versionQuery(c.version.Name, c.version.Version)
}

// choose returns the version that the query names, or the newest, if the visitor may
// perform the task in its feed.
func (s *site) choose(v *visit, task proget.Task) (*chosen, error) {
	f, t, err := s.openFeed(v, task)
	if err != nil {
		return nil, err
	}
	q := v.URL.Query()
	if q.Get("name") == "" {
		return nil, proget.Errorf(proget.ErrInvalid, "The address does not say which package is meant.")
	}
	p, err := s.Catalog.Package(v.Context(), f, t.NameKey(q.Get("name")))
	if err != nil {
		return nil, err
	}
	c := &chosen{feed: f, typ: t, pkg: p, version: newest(t.Front(p), false)}
	if text := q.Get("version"); text != "" {
		c.version, err = p.Version(t.VersionKey(text))
	}
	return c, err
}

func (s *site) showPackage(v *visit) error {
	c, err := s.choose(v, proget.TaskView)
	if err != nil {
		return err
	}
	view := packageView{FeedName: c.feed.Name, FeedURL: feedURL(c.feed), Version: c.version,
		StatusURL: c.url("status"), DeleteURL: c.url("delete"), Files: c.files(),
		Label: c.label(), TagsName: c.typ.TagsName, Unversioned: c.typ.Naming.Unversioned, Install: c.install(s.endpoint(v, c.typ, c.feed))}
	if err := view.describe(c, c.typ.Summary(c.version)); err != nil {
		return err
	}
	view.list(c, v.URL.Query().Has("all"))
	view.Daily = s.dailyDownloads(v, c.pkg.ID)
	if view.Manage, err = s.Authority.Allows(v.id, proget.TaskManage, c.feed); err != nil {
		return err
	}
	return s.render(v, http.StatusOK, page{name: "package", title: strings.TrimSpace(c.version.Name + " " + view.Label.Text), section: "feeds", view: view})
}

// dailyDownloads draws the downloads of a package. The page works without them, so a
// page shown from memory does not wait for them.
func (s *site) dailyDownloads(v *visit, packageID int64) *sparkline {
	if v.stale {
		return nil
	}
	counts, err := s.Daily(v.Context(), packageID, sparkDays)
	if err != nil {
		s.Logger.DebugContext(v.Context(), "a package is shown without its daily downloads", "error", err)
		return nil
	}
	return newSparkline(counts)
}

// describe shows what the package says about itself.
func (view *packageView) describe(c *chosen, sum feed.Summary) (err error) {
	view.Authors, view.Website = sum.Authors, feed.WebURL(sum.ProjectURL)
	if sum.Title != view.Version.Name {
		view.Title = sum.Title
	}
	if view.LicenseURL = feed.WebURL(sum.License); view.LicenseURL == "" && len(sum.License) <= maxLicense {
		view.License = sum.License
	}
	for _, name := range sum.Tags {
		view.Tags = append(view.Tags, tag{name, view.FeedURL + "?" + url.Values{textName: {name}}.Encode()})
	}
	view.Groups, view.Dependencies = groups(view.FeedURL, sum.Dependencies), len(sum.Dependencies)
	from := sourceOf(sum.Repository, sum.ProjectURL)
	if view.Description, err = c.kept("description", func() template.HTML { return description(sum.Description, from) }); err != nil {
		return err
	}
	view.Readme, err = c.kept("readme", func() template.HTML { return markdown(sum.Readme, from) })
	return err
}

// kept renders a text of the version once, for as long as the package is in memory.
func (c *chosen) kept(what string, render func() template.HTML) (template.HTML, error) {
	doc, err := c.pkg.Kept("page's "+what+" "+c.version.Key, func() (*feed.Document, error) {
		return feed.Verbatim("text/html; charset=utf-8", []byte(render()), ""), nil
	})
	if err != nil {
		return "", err
	}
	return template.HTML(doc.Body()), nil
}

// groups groups dependencies, in order of first appearance. It does not check whether
// the feed has a dependency, because that would read each one from the database; the
// link leads to a search.
func groups(feedURL string, all []feed.Dependency) []dependencyGroup {
	var found []dependencyGroup
	places := make(map[string]int)
	for _, d := range all {
		i, ok := places[d.Group]
		if !ok {
			i = len(found)
			places[d.Group] = i
			found = append(found, dependencyGroup{Name: d.Group})
		}
		row := dependencyRow{d, feedURL + "?" + url.Values{textName: {d.Name}, preName: {"on"}}.Encode()}
		found[i].Dependencies = append(found[i].Dependencies, row)
	}
	return found
}

// list shows the package's versions, newest first. It always includes the current one,
// even if it is older than the last one shown.
func (view *packageView) list(c *chosen, all bool) {
	view.VersionCount, view.MaxVersions = len(c.pkg.Versions), maxVersions
	shown := shownVersions
	if all {
		shown = maxVersions
	}
	tags := tagsByVersion(c.pkg.Package)
	for _, each := range slices.Backward(c.pkg.Versions) {
		view.Downloads += each.Downloads
		if len(view.Versions) < shown || each == c.version {
			row := newVersionRow(c, each, tags[each.Key])
			row.Current = each == c.version
			view.Versions = append(view.Versions, row)
		}
	}
	if view.Rest = view.VersionCount - len(view.Versions); view.Rest > 0 && !all {
		view.AllVersions = packageURL(c.feed, c.version.Name, c.version.Version) + "&all#versions"
	}
	n := newest(c.typ.Front(c.pkg), c.version.Prerelease)
	if n != c.version && feed.AllowedListed(n) && c.typ.CompareVersions(n.Key, c.version.Key) > 0 {
		newer := newVersionRow(c, n, tags[n.Key])
		view.Newer = &newer
	}
}

func newVersionRow(c *chosen, v *proget.Version, tags []string) versionRow {
	row := versionRow{Version: v, URL: packageURL(c.feed, v.Name, v.Version), Label: labelOf(c.typ, tags, v), Short: shorten(c.typ, v.Version)}
	row.Tags = slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return c.typ.TagsName && tag == row.Label.Text })
	row.Tags = row.Tags[:min(len(row.Tags), shownTags)]
	return row
}

func (c *chosen) files() []fileRow {
	var rows []fileRow
	for _, file := range c.version.Files {
		row := fileRow{Name: file.Name, Size: file.Size}
		if feed.Allowed(c.version) && c.typ.CheckWhole(c.version, file) == nil {
			row.URL = c.url("download") + "&" + url.Values{"file": {file.Name}}.Encode()
		}
		for _, a := range slices.Sorted(maps.Keys(file.Digests)) {
			row.Digests = append(row.Digests, digest{strings.Replace(strings.ToUpper(string(a)), "SHA", "SHA-", 1), file.Digests[a]})
		}
		rows = append(rows, row)
	}
	return rows
}

// download sends a file of a version: the one that the query names, or the package
// file.
func (s *site) download(v *visit) error {
	c, err := s.choose(v, proget.TaskView)
	if err != nil {
		return err
	}
	name := v.URL.Query().Get("file")
	for _, file := range c.version.Files {
		if name == "" || file.Name == name {
			if err := c.typ.CheckWhole(c.version, file); err != nil {
				return err
			}
			r := &feed.Request{Request: v.client, Feed: c.feed, Base: s.endpoint(v, c.typ, c.feed), Principal: v.id.Principal}
			return s.Files.Serve(v.w, r, c.version, file, "application/octet-stream")
		}
	}
	return proget.Errorf(proget.ErrNotFound, "%s %s has no file %q.", c.version.Name, c.version.Version, name)
}
