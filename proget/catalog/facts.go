package catalog

import (
	"context"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxFacts bounds the facts in memory. One takes about 250 bytes, with its key.
const maxFacts = 20_000

// Fact returns what derive makes of a package, or proget.ErrNotFound. It keeps that
// until the package changes; a package that only Fact has asked for is not kept, because
// its callers ask for thousands, which would drive out those that clients ask for.
func (c *Catalog) Fact(ctx context.Context, f *proget.Feed, nameKey string, derive func(*feed.Package) any) (any, error) {
	k := key{f.ID, nameKey}
	c.mu.Lock()
	fact, ok := c.facts.Get(k)
	present, changes := c.cache.Contains(k), c.changes
	c.mu.Unlock()
	if ok {
		return fact, nil
	}
	p, err := c.Package(ctx, f, nameKey)
	if err != nil {
		return nil, err
	}
	fact = derive(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !present {
		c.drop(k)
	}
	if c.changes == changes { // else it may be of a state before the change
		c.facts.Add(k, fact)
	}
	return fact, nil
}

// forget removes a feed's facts from memory.
func (c *Catalog) forget(feedID int64) {
	for _, k := range c.facts.Keys() {
		if k.feed == feedID {
			c.facts.Remove(k)
		}
	}
}
