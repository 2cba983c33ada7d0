// Package catalog is the only read path: it caches packages with their rendered
// documents, and the list of feeds, and keeps the cache true by following the feeds'
// logs.
//
// The catalog is a subscriber of an indexing.Tail. A caller that has first waited for
// Tail.Sync reads everything committed before that call: each log entry removes the
// package that it names from memory. A load adds the package to memory before it reads
// the database, and a log entry that is applied meanwhile removes it again. So what
// stays in memory was read after the last change; see [Catalog.Package].
package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A Catalog reads packages and feeds through a cache. It is safe for concurrent use.
type Catalog struct {
	db    *db.Store
	types map[string]*feed.Type
	opts  Options

	mu      sync.Mutex
	cache   *simplelru.LRU[key, *entry]
	bytes   int64
	feeds   *feedList // nil: to be read
	names   map[int64]*stretches
	facts   *simplelru.LRU[key, any]
	warned  *simplelru.LRU[key, struct{}] // packages that are large
	changes int64                         // that were applied
}

// Options configure a Catalog. The zero value is ready to use.
type Options struct {
	MaxBytes int64         // approximate bytes of memory for packages and documents; default 32 MiB; one or two packages may take more, each for itself
	Patience time.Duration // how long a read waits for the database; default 3 s
	Logger   *slog.Logger  // default: slog.Default()

	// MaxAge is the maximum age of what no log reports, such as download counts;
	// default 1 min.
	MaxAge time.Duration
}

type key struct {
	feed int64
	name string
}

// entry is a package in memory, or one that is being loaded.
type entry struct {
	ready chan struct{} // closed when pkg or err is set
	pkg   *feed.Package
	err   error
	since time.Time
	old   *feed.Package // returned if the load fails; nil for none
	cost  int64         // bytes currently counted for the entry
}

type feedList struct {
	ready  chan struct{}
	byName map[string]*proget.Feed
	sorted []*proget.Feed
	err    error
}

// New returns an empty catalog.
func New(store *db.Store, types []feed.Type, opts *Options) *Catalog {
	c := &Catalog{db: store, types: make(map[string]*feed.Type), names: make(map[int64]*stretches)}
	for i := range types {
		c.types[types[i].Name] = &types[i]
	}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.MaxBytes == 0 {
		c.opts.MaxBytes = 32 << 20
	}
	if c.opts.Patience == 0 {
		c.opts.Patience = 3 * time.Second
	}
	if c.opts.MaxAge == 0 {
		c.opts.MaxAge = time.Minute
	}
	if c.opts.Logger == nil {
		c.opts.Logger = slog.Default()
	}
	c.cache, _ = simplelru.NewLRU[key, *entry](1<<30, nil) // the bound is bytes; see weigh
	c.facts, _ = simplelru.NewLRU[key, any](maxFacts, nil) // the size is valid
	c.warned, _ = simplelru.NewLRU[key, struct{}](maxWarned, nil)
	return c
}

// Applied removes what the entries changed from memory.
func (c *Catalog) Applied(feedID int64, entries []proget.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	if feedID == proget.SystemFeed {
		c.feeds = nil
		clear(c.names) // feeds may be gone
		return
	}
	delete(c.names, feedID)
	for _, e := range entries {
		c.drop(key{feedID, e.PackageKey})
		c.facts.Remove(key{feedID, e.PackageKey})
	}
	if entries != nil {
		return
	}
	c.forget(feedID)
	for _, k := range c.cache.Keys() {
		if k.feed == feedID {
			c.drop(k)
		}
	}
}

func (c *Catalog) drop(k key) {
	if e, ok := c.cache.Peek(k); ok {
		c.cache.Remove(k)
		c.bytes -= e.cost
	}
}

// Package returns a package with its versions, oldest first, or proget.ErrNotFound.
//
// Package adds an entry to memory before it loads the package. A log entry that is
// applied during the load removes it again, so that later callers start a new load.
// Those who already wait for it may get either state, because they came before the
// change.
func (c *Catalog) Package(ctx context.Context, f *proget.Feed, nameKey string) (*feed.Package, error) {
	if n := feed.Length(nameKey); n > feed.MaxName { // the cache also remembers missing packages, by names that strangers choose
		return nil, proget.Errorf(proget.ErrNotFound, "There is no package whose name has %d characters.", n)
	}
	k := key{f.ID, nameKey}
	c.mu.Lock()
	e, ok := c.cache.Get(k)
	if ok && !e.aged(c.opts.MaxAge) {
		c.mu.Unlock()
		return e.wait(ctx)
	}
	fresh := &entry{ready: make(chan struct{}), since: time.Now()}
	if ok {
		fresh.old = e.pkg
		c.drop(k)
	}
	e = fresh
	c.cache.Add(k, e)
	c.mu.Unlock()
	c.load(ctx, f, k, e)
	return e.pkg, e.err
}

// aged reports whether a loaded package is older than the given time.
func (e *entry) aged(than time.Duration) bool {
	select {
	case <-e.ready:
		return e.pkg != nil && time.Since(e.since) > than
	default:
		return false
	}
}

func (e *entry) wait(ctx context.Context) (*feed.Package, error) {
	select {
	case <-e.ready:
		return e.pkg, e.err
	default:
	}
	select {
	case <-e.ready:
		return e.pkg, e.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// renewal bounds the wait for a package that is in memory but too old.
const renewal = 250 * time.Millisecond

// load reads a package for all who wait for it, so it must not end when the first
// caller's context does.
func (c *Catalog) load(ctx context.Context, f *proget.Feed, k key, e *entry) {
	patience := c.opts.Patience
	if e.old != nil { // no change is known
		patience = min(patience, renewal)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	e.err = indexing.Safely(func() (err error) { // if the feed's type panics, the others must not wait for ever
		e.pkg, err = c.read(ctx, f, k.name)
		return err
	})
	if e.pkg != nil {
		e.pkg.Grown = func() { c.grown(k) }
	}
	if e.err != nil && e.old != nil && !isNotFound(e.err) {
		e.pkg, e.err = e.old, nil
	}
	e.old = nil
	close(e.ready)

	c.mu.Lock()
	defer c.mu.Unlock()
	if present, _ := c.cache.Peek(k); present != e {
		return // it was dropped meanwhile
	}
	if e.err != nil && !isNotFound(e.err) { // only a change ends that, and the log tells of it
		c.cache.Remove(k)
		return
	}
	c.weigh(k, e)
}

func (c *Catalog) read(ctx context.Context, f *proget.Feed, nameKey string) (*feed.Package, error) {
	t, ok := c.types[f.Type]
	if !ok {
		return nil, fmt.Errorf("feed %s has the unknown type %q", f.Name, f.Type)
	}
	p, err := c.db.LoadPackage(ctx, f.ID, nameKey)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.Versions, func(a, b *proget.Version) int { return t.CompareVersions(a.Key, b.Key) })
	loaded := &feed.Package{Package: p}
	c.warn(f, key{f.ID, nameKey}, loaded.Bytes())
	return loaded, nil
}

// grown makes room for a document that was added to a package.
func (c *Catalog) grown(k key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.cache.Peek(k); ok {
		c.weigh(k, e)
	}
}

// weigh updates an entry's cost, and makes room.
func (c *Catalog) weigh(k key, e *entry) {
	select {
	case <-e.ready:
	default:
		return
	}
	c.count(k, e)
	for c.bytes > c.opts.MaxBytes && c.cache.Len() > 1 {
		_, old, _ := c.cache.RemoveOldest()
		c.bytes -= old.cost
	}
}

// share is the most that a package counts. Two of those that take more stay in memory,
// and others beside them.
func (c *Catalog) share() int64 { return c.opts.MaxBytes / 3 }

// count updates the bytes counted for an entry. It counts the name twice, because an
// error's text may repeat it. No package drives out all others, or it and they would be
// loaded in turns: however much it takes, it counts as a third of the memory, and its
// documents have a third at most, or are one.
func (c *Catalog) count(k key, e *entry) {
	cost := int64(200 + 2*len(k.name))
	if e.pkg != nil {
		e.pkg.Shrink(c.share())
		cost += min(e.pkg.Bytes(), c.share())
	}
	c.bytes += cost - e.cost
	e.cost = cost
}

// maxWarned bounds the packages of which the log has said that they are large.
const maxWarned = 1000

// warn says once of a package that it takes more than its share of the memory.
func (c *Catalog) warn(f *proget.Feed, k key, bytes int64) {
	if bytes <= c.share() {
		return
	}
	c.mu.Lock()
	known := c.warned.Contains(k)
	c.warned.Add(k, struct{}{})
	c.mu.Unlock()
	if !known {
		c.opts.Logger.Warn("a package takes more than a third of the memory for packages, and only two such packages stay in memory; set -cache (Config.CacheBytes) to more than three times its bytes",
			"feed", f.Name, "package", k.name, "bytes", bytes, "cache", c.opts.MaxBytes)
	}
}

// List returns up to limit packages in the order of their keys, beginning with
// the first key greater than after.
func (c *Catalog) List(ctx context.Context, f *proget.Feed, after string, limit int) ([]*feed.Package, error) {
	keys, err := c.keys(ctx, f, after, limit)
	if err != nil {
		return nil, err
	}
	packages := make([]*feed.Package, 0, len(keys))
	for _, k := range keys {
		p, err := c.Package(ctx, f, k)
		if isNotFound(err) {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

func (c *Catalog) keys(ctx context.Context, f *proget.Feed, after string, limit int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Patience)
	defer cancel()
	return c.db.ListPackageKeys(ctx, f.ID, after, limit)
}

// Alias returns the version that has the newest file with that alias, and the file, or
// proget.ErrNotFound.
func (c *Catalog) Alias(ctx context.Context, f *proget.Feed, alias string) (*proget.Version, proget.File, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Patience)
	defer cancel()
	nameKey, versionKey, fileName, err := c.db.FindAlias(ctx, f.ID, alias)
	if isNotFound(err) {
		return nil, proget.File{}, proget.WrapError(proget.ErrNotFound, err, "Feed %s has nothing called %.200s.", f.Name, alias)
	}
	if err != nil {
		return nil, proget.File{}, err
	}
	p, err := c.Package(ctx, f, nameKey)
	if err != nil {
		return nil, proget.File{}, err
	}
	v, err := p.Version(versionKey)
	if err != nil {
		return nil, proget.File{}, err
	}
	i := slices.IndexFunc(v.Files, func(file proget.File) bool { return file.Name == fileName })
	if i < 0 {
		return nil, proget.File{}, proget.Errorf(proget.ErrNotFound, "%s %s no longer has the file %s.", v.Name, v.Version, fileName)
	}
	return v, v.Files[i], nil
}

// Feed returns the active feed with that name, ignoring case, or proget.ErrNotFound.
func (c *Catalog) Feed(ctx context.Context, name string) (*proget.Feed, error) {
	l, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	if f, ok := l.byName[strings.ToLower(name)]; ok && f.Active {
		return f, nil
	}
	return nil, proget.Errorf(proget.ErrNotFound, "There is no feed named %.60q.", name)
}

// Feeds returns all feeds, sorted by name.
func (c *Catalog) Feeds(ctx context.Context) ([]*proget.Feed, error) {
	l, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	return l.sorted, nil
}

func (c *Catalog) list(ctx context.Context) (*feedList, error) {
	c.mu.Lock()
	l := c.feeds
	if l == nil {
		l = &feedList{ready: make(chan struct{})}
		c.feeds = l
		c.mu.Unlock()
		c.loadFeeds(ctx, l)
		return l, l.err
	}
	c.mu.Unlock()
	select {
	case <-l.ready:
		return l, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *Catalog) loadFeeds(ctx context.Context, l *feedList) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Patience)
	defer cancel()
	l.sorted, l.err = c.db.ListFeeds(ctx)
	l.byName = make(map[string]*proget.Feed, len(l.sorted))
	for _, f := range l.sorted {
		l.byName[strings.ToLower(f.Name)] = f
	}
	close(l.ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.err != nil && c.feeds == l {
		c.feeds = nil
	}
}
