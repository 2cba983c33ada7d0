package catalog

import (
	"context"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A stretch names a part of a feed's package names: up to limit names whose keys follow
// after.
type stretch struct {
	after string
	limit int
}

// The catalog keeps short stretches until anything changes in their feed. Clients ask for
// these all the time, to learn whether anything is below a name.
const (
	keptStretches = 256 // of a feed
	keptNames     = 16  // of a stretch
)

// Names is like List, but returns only the names.
func (c *Catalog) Names(ctx context.Context, f *proget.Feed, after string, limit int) ([]feed.Name, error) {
	kept, asked := c.stretches(f), stretch{after, limit}
	if names, ok := kept.Get(asked); ok {
		return slices.Clone(names), nil
	}
	names, err := c.readNames(ctx, f, asked)
	if err == nil && len(names) <= keptNames && len(after) <= feed.MaxName { // a client chooses it
		kept.Add(asked, slices.Clone(names))
	}
	return names, err
}

// stretches returns the stretches that are kept of a feed. Applied replaces them when
// the feed changes; a read that began before that adds its result to the old ones, which
// nobody asks any more.
func (c *Catalog) stretches(f *proget.Feed) *lru.Cache[stretch, []feed.Name] {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.names[f.ID]
	if kept == nil {
		kept, _ = lru.New[stretch, []feed.Name](keptStretches) // the size is valid
		c.names[f.ID] = kept
	}
	return kept
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
