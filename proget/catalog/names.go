package catalog

import (
	"context"
	"slices"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A stretch names a part of a feed's package names: up to limit names whose keys follow
// after.
type stretch struct {
	after string
	limit int
}

// stretches keeps a feed's stretches until anything changes in the feed. Clients ask for
// the same all the time, to learn what is below a name.
type stretches struct {
	kept  *simplelru.LRU[stretch, []feed.Name]
	names int // in all of them
}

// Bounds of what is kept of a feed; the names are enough for a few large groups.
const (
	maxStretches = 256
	maxNames     = 8192
)

func newStretches() *stretches {
	s := new(stretches)
	s.kept, _ = simplelru.NewLRU(maxStretches, func(_ stretch, names []feed.Name) { s.names -= len(names) }) // the size is valid
	return s
}

func (s *stretches) keep(asked stretch, names []feed.Name) {
	if s.kept.Contains(asked) { // another goroutine was faster
		return
	}
	s.kept.Add(asked, names)
	s.names += len(names)
	for s.names > maxNames {
		s.kept.RemoveOldest()
	}
}

// Names is like List, but returns only the names.
func (c *Catalog) Names(ctx context.Context, f *proget.Feed, after string, limit int) ([]feed.Name, error) {
	asked := stretch{after, limit}
	of, names, ok := c.keptNames(f, asked)
	if ok {
		return slices.Clone(names), nil
	}
	names, err := c.readNames(ctx, f, asked)
	if err == nil && len(names) <= maxNames/2 && feed.Length(after) <= feed.MaxName { // a client chooses it
		c.mu.Lock()
		defer c.mu.Unlock()
		of.keep(asked, slices.Clone(names))
	}
	return names, err
}

// keptNames returns the stretches that are kept of a feed, and whether the one that is
// asked for is among them. Applied replaces them when the feed changes; a read that
// began before that adds its result to the old ones, which nobody asks any more.
func (c *Catalog) keptNames(f *proget.Feed, asked stretch) (of *stretches, names []feed.Name, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of = c.names[f.ID]
	if of == nil {
		of = newStretches()
		c.names[f.ID] = of
	}
	names, ok = of.kept.Get(asked)
	return of, names, ok
}

func (c *Catalog) readNames(ctx context.Context, f *proget.Feed, asked stretch) ([]feed.Name, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Patience)
	defer cancel()
	keys, names, err := c.db.ListPackageNames(ctx, f.ID, asked.after, asked.limit)
	all := make([]feed.Name, len(keys))
	for i, key := range keys {
		all[i] = feed.Name{Key: key, Name: names[i]}
	}
	return all, err
}
