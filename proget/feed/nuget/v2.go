package nuget

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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

	v2MaxSorted = 10_000           // entries of a sorted collection, from its first, that pages can reach
	v2Small     = 250              // entries kept, and packages looked at, for an answer that needs no place
	v2MaxUnsent = 64 << 20         // bytes of answers of more than a page that wait for their clients
	v2Patience  = 10 * time.Second // of an answer that waits for others to be sent
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

func parseV2Query(set action, q url.Values) (v2Query, error) {
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
	if v.ordered(set) {
		v.orders = nil
	}
	if len(v.orders) > 0 && v.skip+v.page > v2MaxSorted {
		return v, proget.Errorf(proget.ErrInvalid, "With $orderby, no more than the first %d entries can be asked for: leave it out, or filter.", v2MaxSorted)
	}
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

// ordered reports whether a collection is walked in the query's order anyway: that of
// the IDs, and of each one's versions. Searches for words find the best first.
func (q v2Query) ordered(set action) bool {
	inOrder := slices.Equal(q.orders, []odata.Order{{Property: "Id"}}) || slices.Equal(q.orders, []odata.Order{{Property: "Id"}, {Property: "Version"}})
	return inOrder && set != v2Updates && (set != v2Search || q.term == "")
}

// oneEach reports whether each package that the index finds has one entity that the
// query selects.
func (q v2Query) oneEach() bool {
	latest := "IsLatestVersion"
	if q.flag("includePrerelease") {
		latest = "IsAbsoluteLatestVersion"
	}
	return q.filter.Is(latest) && len(q.tags) == 0 && len(q.orders) == 0
}

func (q v2Query) text(name string) string { return v2Text(q.parameters.Get(name)) }

func (q v2Query) flag(name string) bool { return strings.EqualFold(q.text(name), "true") }

// v2List answers a query for a collection.
func (h *handler) v2List(w http.ResponseWriter, r *feed.Request, rt route) error {
	q, err := parseV2Query(rt.action, r.URL.Query())
	if err != nil {
		return err
	}
	doc, held, err := h.v2Prepare(r, rt, q)
	if err != nil {
		return err
	}
	defer h.unsent.Release(held)
	if !rt.count {
		headV2(w)
	}
	doc.Serve(w, r.Request)
	return nil
}

// v2Prepare returns the answer to a query, and how many bytes it holds of h.unsent. What
// the answer was made from is garbage then.
func (h *handler) v2Prepare(r *feed.Request, rt route, q v2Query) (doc *feed.Document, held int64, err error) {
	if rt.count {
		q.orders, q.skip, q.page = nil, 0, 0 // the total depends on none of them
	}
	c := &v2Collection{query: q, gate: h.large, whole: rt.count || q.counted || len(q.orders) > 0}
	defer c.leave()
	page, err := h.v2Page(r, rt, c)
	if err != nil {
		return nil, 0, err
	}
	if rt.count {
		return feed.NewDocument("text/plain; charset=utf-8", []byte(strconv.Itoa(page.total))), 0, nil
	}
	body, contentType, err := renderV2(r, page, q)
	if err != nil {
		return nil, 0, err
	}
	if len(page.entries) > v2PageSize {
		if held, err = h.hold(r.Context(), len(body)); err != nil {
			return nil, 0, err
		}
	}
	return feed.NewDocument(contentType, body), held, nil
}

// hold waits until that many more bytes of large answers may wait for their clients. It
// returns what is to be released.
func (h *handler) hold(ctx context.Context, bytes int) (held int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, v2Patience)
	defer cancel()
	held = int64(min(bytes, v2MaxUnsent))
	if err := h.unsent.Acquire(ctx, held); err != nil {
		return 0, proget.WrapError(proget.ErrUnavailable, err, "This server is busy sending other answers of thousands of entries. Try again shortly, or ask for less.")
	}
	return held, nil
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
