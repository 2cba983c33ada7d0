package nuget

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget/internal/odata"
)

// Version 2 of the protocol is an OData service with one entity, which was never
// specified. This file implements what its clients send and read: nuget.exe up to 2.14,
// Chocolatey, PowerShellGet, and newer clients whose source does not end in index.json.

// Bounds of a query.
const (
	v2PageSize   = 100  // entries in one response, as on nuget.org
	v2MaxTop     = 6000 // maximum entries in one response, if the client asks for so many
	v2MaxUpdates = 1000 // packages in one query for updates
)

// v2Sets are the collections that can be queried.
var v2Sets = map[string]action{
	"Packages": v2Packages, "FindPackagesById": v2Find, "Search": v2Search, "GetUpdates": v2Updates,
}

// parseV2 parses the path below a feed's URL, or below its "v2" or "api/v2".
func parseV2(segments []string) route {
	switch {
	case len(segments) > 0 && segments[0] == "v2":
		segments = segments[1:]
	case len(segments) > 1 && segments[0] == "api" && segments[1] == "v2":
		segments = segments[2:]
	}
	switch {
	case len(segments) == 0:
		return route{action: v2Service}
	case len(segments) == 1 && segments[0] == "$metadata":
		return route{action: v2Metadata}
	case len(segments) == 3 && segments[0] == "package":
		return parseVersionRoute(contentPackage, segments[1:])
	}
	name, arguments, called := strings.Cut(segments[0], "(")
	arguments, closed := strings.CutSuffix(arguments, ")")
	set, known := v2Sets[name]
	if !known || called != closed || len(segments) > 2 {
		return route{}
	}
	r := route{action: set}
	tail := strings.Join(segments[1:], "")
	if arguments != "" {
		return parseV2Entry(r, arguments, tail)
	}
	if r.count = tail == "$count"; tail != "" && !r.count {
		return route{}
	}
	return r
}

// parseV2Entry parses Packages(Id='…',Version='…'), whose $value is the file.
func parseV2Entry(r route, arguments, tail string) route {
	named := make(map[string]string)
	for pair := range strings.SplitSeq(arguments, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		named[name] = v2Text(value)
	}
	one := parseVersionRoute(v2Entry, []string{named["Id"], named["Version"]})
	if r.action != v2Packages || len(named) != 2 || one.id == "" || tail != "" && tail != "$value" {
		return route{}
	}
	if tail == "$value" {
		one.action = contentPackage
	}
	return one
}

// v2Text removes the quotes from a parameter.
func v2Text(value string) string {
	if len(value) >= 2 && value[0] == '\'' && value[len(value)-1] == '\'' {
		return strings.ReplaceAll(value[1:len(value)-1], "''", "'")
	}
	return value
}

// A v2Query is a query for a collection.
type v2Query struct {
	filter     *odata.Filter
	orders     []odata.Order
	skip, top  int      // in the whole collection
	page       int      // entries in one response
	term       string   // the words of a search
	tags       []string // the tags of a search
	after      []string // ID and version of the last entry of the previous page
	counted    bool     // the total is requested, too
	semVer2    bool
	parameters url.Values
}

func parseV2Query(q url.Values) (v2Query, error) {
	v := v2Query{parameters: q, counted: q.Get("$inlinecount") == "allpages"}
	var err error
	if v.filter, err = odata.ParseFilter(q.Get("$filter")); err != nil {
		return v, err
	}
	if v.orders, err = odata.ParseOrder(q.Get("$orderby")); err != nil {
		return v, err
	}
	if v.skip, err = count(q, "$skip", 0); err != nil {
		return v, err
	}
	if v.top, err = count(q, "$top", math.MaxInt32); err != nil {
		return v, err
	}
	v.term, v.tags = splitTerm(v.text("searchTerm"))
	v.page = v.pageSize()
	if token := q.Get("$skiptoken"); token != "" {
		for part := range strings.SplitSeq(token, ",") {
			v.after = append(v.after, v2Text(part))
		}
		if len(v.after) != 2 {
			return v, proget.Errorf(proget.ErrInvalid, "The parameter $skiptoken is not one that this server gave out.")
		}
	}
	if level, ok := parseVersion(v2Text(q.Get("semVerLevel"))); ok {
		v.semVer2 = level.numbers[0] >= 2
	}
	return v, nil
}

// pageSize returns $top, because some clients ask for thousands and ignore the link to
// the next page. PSResourceGet asks for thousands by tag, too, but then continues in
// steps of a hundred, so a query by tag gets no more than that.
func (q v2Query) pageSize() int {
	if q.top > v2MaxTop || len(q.tags) > 0 || q.filter.Uses("Tags") {
		return min(q.top, v2PageSize)
	}
	return q.top
}

func (q v2Query) text(name string) string { return v2Text(q.parameters.Get(name)) }

func (q v2Query) flag(name string) bool { return strings.EqualFold(q.text(name), "true") }

// v2List answers a query for a collection.
func (h *handler) v2List(w http.ResponseWriter, r *feed.Request, rt route) error {
	q, err := parseV2Query(r.URL.Query())
	if err != nil {
		return err
	}
	if q.skip+q.page > v2PageSize {
		if err := h.large.Enter(r.Context(), "answers of thousands of entries"); err != nil {
			return err
		}
		defer h.large.Leave()
	}
	page, err := h.v2Page(r, rt, q)
	if err != nil {
		return err
	}
	if rt.count {
		return serveText(w, r, strconv.Itoa(page.total))
	}
	return serveV2(w, r, page, q)
}

// serveText serves plain text.
func serveText(w http.ResponseWriter, r *feed.Request, text string) error {
	feed.NewDocument("text/plain; charset=utf-8", []byte(text)).Serve(w, r.Request)
	return nil
}

// A v2Page is a part of a collection.
type v2Page struct {
	entries []*v2Entity
	total   int // of the whole collection, if the query asked for it
	more    bool
}

func (h *handler) v2Page(r *feed.Request, rt route, q v2Query) (*v2Page, error) {
	ctx := r.Context()
	c := &v2Collection{query: q, whole: rt.count || q.counted || len(q.orders) > 0}
	var err error
	switch rt.action {
	case v2Find:
		err = h.v2Collect(ctx, r.Feed, c, nil, nameKey(q.text("id")))
	case v2Updates:
		err = h.v2CollectUpdates(ctx, r.Feed, c)
	case v2Search:
		err = h.v2CollectHits(ctx, r.Feed, c)
	default:
		if ids, ok := q.filter.Only("Id"); ok {
			err = h.v2Collect(ctx, r.Feed, c, nil, ids...)
		} else {
			err = h.v2CollectAll(ctx, r.Feed, c)
		}
	}
	if err != nil {
		return nil, err
	}
	return c.page()
}

// A v2Collection collects the entities that satisfy the query.
type v2Collection struct {
	query v2Query
	whole bool        // the collection must be counted or sorted
	total int         // entities collected
	found []*v2Entity // those that can still be on the page
}

// A narrowing selects some of a package's entities that satisfy the query.
type narrowing func([]*v2Entity) []*v2Entity

// add collects the versions of a package that the client may see and the query selects.
// If only is not nil, it selects among them.
func (c *v2Collection) add(p *feed.Package, only narrowing) error {
	if !tagged(p, c.query.tags) {
		return nil
	}
	entities, err := v2Entities(p, c.query.semVer2)
	if err != nil {
		return err
	}
	var matches []*v2Entity
	for _, e := range entities {
		ok, err := c.query.filter.Match(e.property)
		if err != nil {
			return err
		}
		if ok && !c.before(e) {
			matches = append(matches, e)
		}
	}
	if only != nil {
		matches = only(matches)
	}
	c.total += len(matches)
	c.found = append(c.found, matches...)
	return c.trim()
}

// trim drops entities that can no longer be on the page.
func (c *v2Collection) trim() error {
	need, most := c.query.skip+c.query.page+1, c.query.skip+c.query.page+1
	if len(c.query.orders) > 0 {
		most *= 2 // so that each sort removes many
	}
	if len(c.found) <= most {
		return nil
	}
	if err := c.sort(); err != nil {
		return err
	}
	c.found = slices.Delete(c.found, need, len(c.found))
	return nil
}

// before reports whether an entity was on an earlier page.
func (c *v2Collection) before(e *v2Entity) bool {
	if len(c.query.after) == 0 || len(c.query.orders) > 0 {
		return false
	}
	id := nameKey(c.query.after[0])
	return e.pkg.Key < id || e.pkg.Key == id && compareVersions(e.version.Key, versionKey(c.query.after[1])) <= 0
}

// full reports whether there are enough entities for the page, and to know that another
// page follows.
func (c *v2Collection) full() bool {
	return !c.whole && len(c.found) > c.query.skip+c.query.page
}

func (c *v2Collection) page() (*v2Page, error) {
	if err := c.sort(); err != nil {
		return nil, err
	}
	p := &v2Page{total: c.total}
	rest := c.found[min(c.query.skip, len(c.found)):]
	p.entries = rest[:min(c.query.page, len(rest))]
	p.more = len(rest) > len(p.entries) && c.query.top > len(p.entries)
	return p, nil
}

func (c *v2Collection) sort() error {
	if len(c.found) == 0 {
		return nil
	}
	for _, o := range c.query.orders {
		if _, known := c.found[0].property(o.Property); !known {
			return proget.Errorf(proget.ErrInvalid, "There is no property %.60q to order by.", o.Property)
		}
	}
	slices.SortStableFunc(c.found, func(a, b *v2Entity) int {
		for _, o := range c.query.orders {
			order := a.compare(b, o.Property)
			if order != 0 && o.Down {
				return -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
	return nil
}

// v2Collect collects from the packages with the given keys.
func (h *handler) v2Collect(ctx context.Context, f *proget.Feed, c *v2Collection, only narrowing, keys ...string) error {
	for _, key := range keys {
		p, err := h.services.Packages.Package(ctx, f, key)
		if errors.Is(err, proget.ErrNotFound) {
			continue
		}
		if err == nil {
			err = c.add(p, only)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// v2CollectAll walks through the feed in the order of package names, from where the
// previous page ended.
func (h *handler) v2CollectAll(ctx context.Context, f *proget.Feed, c *v2Collection) error {
	last := ""
	if len(c.query.after) > 0 && len(c.query.orders) == 0 {
		last = nameKey(c.query.after[0])
		if err := h.v2Collect(ctx, f, c, nil, last); err != nil {
			return err
		}
	}
	for scanned := 0; !c.full(); {
		some, err := h.services.Packages.List(ctx, f, last, v2PageSize)
		if err != nil {
			return err
		}
		for _, p := range some {
			if err := c.add(p, nil); err != nil {
				return err
			}
			last = p.Key
		}
		if len(some) < v2PageSize {
			return nil
		}
		if scanned += len(some); scanned >= maxScanned {
			return proget.Errorf(proget.ErrInvalid, "This feed holds too many packages to be looked at one by one: ask Search(), name the packages, or leave $orderby out.")
		}
	}
	return nil
}

// v2CollectHits collects what the search index finds, best first. The index supports
// only one tag per query, so packages with the first are read to check for the others.
func (h *handler) v2CollectHits(ctx context.Context, f *proget.Feed, c *v2Collection) error {
	prerelease := c.query.flag("includePrerelease")
	asked := feed.Query{Text: c.query.term, Prerelease: prerelease, Old: !c.query.semVer2, Take: maxHits}
	if len(c.query.tags) > 0 {
		asked.Tag = c.query.tags[0]
	}
	if !c.whole && len(c.query.tags) < 2 && (c.query.filter.Uses("IsLatestVersion") || c.query.filter.Uses("IsAbsoluteLatestVersion")) {
		asked.Take = min(c.query.skip+c.query.page+1, maxHits) // one entry each
	}
	offered := func(matches []*v2Entity) []*v2Entity {
		return slices.DeleteFunc(matches, func(e *v2Entity) bool {
			return !e.version.Status.Listed || e.version.Prerelease && !prerelease
		})
	}
	for key, err := range h.hits(ctx, f, asked) {
		if err != nil || c.full() {
			return err
		}
		if err := h.v2Collect(ctx, f, c, offered, key); err != nil {
			return err
		}
	}
	return nil
}

// v2CollectUpdates collects versions newer than those that the client has.
func (h *handler) v2CollectUpdates(ctx context.Context, f *proget.Feed, c *v2Collection) error {
	ids, versions := strings.Split(c.query.text("packageIds"), "|"), strings.Split(c.query.text("versions"), "|")
	constraints := strings.Split(c.query.text("versionConstraints"), "|")
	if len(ids) != len(versions) || len(ids) > v2MaxUpdates {
		return proget.Errorf(proget.ErrInvalid, "The parameters packageIds and versions must name as many packages as versions, %d at most, separated by |.", v2MaxUpdates)
	}
	for i, id := range ids {
		var within versionRange
		limited := false
		if len(constraints) == len(ids) && constraints[i] != "" {
			if within, limited = parseRange(constraints[i]); !limited {
				return proget.Errorf(proget.ErrInvalid, "The version constraint %.60q cannot be understood.", constraints[i])
			}
		}
		newer := func(matches []*v2Entity) []*v2Entity {
			matches = slices.DeleteFunc(matches, func(e *v2Entity) bool {
				v := e.version
				return !v.Status.Listed || v.Prerelease && !c.query.flag("includePrerelease") ||
					compareVersions(v.Key, versionKey(versions[i])) <= 0 || limited && !within.contains(v.Key)
			})
			if len(matches) > 1 && !c.query.flag("includeAllVersions") {
				matches = matches[len(matches)-1:]
			}
			return matches
		}
		if err := h.v2Collect(ctx, f, c, newer, nameKey(id)); err != nil {
			return err
		}
	}
	return nil
}

// v2One serves a single entry.
func (h *handler) v2One(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, v, err := h.find(r.Context(), r.Feed, rt)
	if err != nil {
		return err
	}
	entities, err := v2Entities(p, true)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(entities, func(e *v2Entity) bool { return e.version == v })
	return serveV2Entry(w, r, entities[i])
}
