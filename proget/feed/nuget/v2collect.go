package nuget

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A v2Page is a part of a collection.
type v2Page struct {
	entries []*v2Entity
	total   int // of the whole collection, if the query asked for it
	more    bool
}

// v2Page collects the page that c's query asks for.
func (h *handler) v2Page(r *feed.Request, rt route, c *v2Collection) (*v2Page, error) {
	ctx, q := r.Context(), c.query
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

	gate    feed.Gate // bounds the collections of much
	entered bool      // the collection has a place
	looked  int       // packages looked at
}

// enter takes a place for the collection once it has many entities, or has looked at
// many packages. One of few needs none, whatever it asks for.
func (c *v2Collection) enter(ctx context.Context) error {
	if c.entered || len(c.found) <= v2Small && c.looked <= v2Small {
		return nil
	}
	err := c.gate.Enter(ctx, "large answers")
	c.entered = err == nil
	return err
}

// leave gives the place back.
func (c *v2Collection) leave() {
	if c.entered {
		c.gate.Leave()
	}
	c.entered = false
}

// A narrowing selects some of a package's entities that satisfy the query.
type narrowing func([]*v2Entity) []*v2Entity

// add collects the versions of a package that the client may see and the query selects.
// If only is not nil, it selects among them.
func (c *v2Collection) add(ctx context.Context, p *feed.Package, only narrowing) error {
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
	c.looked++
	if err := c.keep(matches); err != nil {
		return err
	}
	return c.enter(ctx)
}

// keep counts entities and keeps those that can still be on the page. Without an order,
// it knows which those are.
func (c *v2Collection) keep(matches []*v2Entity) error {
	before := c.total
	c.total += len(matches)
	if len(c.query.orders) > 0 {
		c.found = append(c.found, matches...)
		return c.trim()
	}
	matches = matches[min(max(c.query.skip-before, 0), len(matches)):]
	c.found = append(c.found, matches[:min(c.query.page+1-len(c.found), len(matches))]...)
	return nil
}

// trim drops entities that are not among the first in the order so far.
func (c *v2Collection) trim() error {
	need := c.query.skip + c.query.page + 1
	if len(c.found) <= 2*need { // so that each sort removes many
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
	return !c.whole && len(c.found) > c.query.page
}

func (c *v2Collection) page() (*v2Page, error) {
	if err := c.sort(); err != nil {
		return nil, err
	}
	p := &v2Page{total: c.total}
	rest := c.found
	if len(c.query.orders) > 0 {
		rest = rest[min(c.query.skip, len(rest)):]
	}
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
			err = c.add(ctx, p, only)
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
			if err := c.add(ctx, p, nil); err != nil || c.full() {
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
	q := c.query
	prerelease := q.flag("includePrerelease")
	asked := feed.Query{Text: q.term, Prerelease: prerelease, Old: !q.semVer2, Take: maxHits}
	if len(q.tags) > 0 {
		asked.Tag = q.tags[0]
	}
	if beyond, total, err := h.v2Beyond(ctx, f, c, asked); beyond || err != nil {
		c.total = total
		return err
	}
	if !c.whole && len(q.tags) < 2 && (q.filter.Uses("IsLatestVersion") || q.filter.Uses("IsAbsoluteLatestVersion")) {
		asked.Take = min(q.skip+q.page+1, maxHits) // one entry each, at most
	}
	offered := func(matches []*v2Entity) []*v2Entity {
		return slices.DeleteFunc(matches, func(e *v2Entity) bool {
			return !e.version.Status.Listed || e.version.Prerelease && !prerelease
		})
	}
	for key, err := range h.hits(ctx, f, asked, c.whole) {
		if err != nil || c.full() {
			return err
		}
		if err := h.v2Collect(ctx, f, c, offered, key); err != nil {
			return err
		}
	}
	return nil
}

// v2Beyond collects the latest version of each package that the index finds, if it
// finds too many to be looked at one by one. Then the index counts, and skips what is
// before the page; it does not know whether a version is blocked.
func (h *handler) v2Beyond(ctx context.Context, f *proget.Feed, c *v2Collection, asked feed.Query) (beyond bool, total int, err error) {
	if !c.query.oneEach() {
		return false, 0, nil
	}
	asked.Take = 1
	if c.whole {
		first, err := h.services.Search.Search(ctx, f, asked)
		if err != nil || first.Total <= maxScanned {
			return false, 0, err
		}
		total, c.whole = first.Total, false
	} else if c.query.skip+c.query.page < maxScanned {
		return false, 0, nil
	}
	asked.Skip, asked.Take = c.query.skip, min(c.query.page+1, maxHits)
	c.total = asked.Skip
	for key, err := range h.hits(ctx, f, asked, false) {
		if err == nil {
			err = h.v2Collect(ctx, f, c, nil, key)
		}
		if err != nil || c.full() {
			return true, total, err
		}
	}
	return true, total, nil
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
