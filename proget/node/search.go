package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const (
	indexBatch   = 1000                   // log entries per update of the index
	indexPause   = 250 * time.Millisecond // between looks at the logs when nobody asks
	indexWaits   = time.Second            // for the index to reach what is committed, per query
	indexRetries = time.Second            // after an error
)

// searcher keeps the node's search index current and answers queries from it.
type searcher struct {
	node  *Node
	types map[string]*feed.Type
}

func newSearcher(n *Node) *searcher {
	s := &searcher{node: n, types: make(map[string]*feed.Type)}
	for i := range n.cfg.Feeds {
		s.types[n.cfg.Feeds[i].Name] = &n.cfg.Feeds[i]
	}
	return s
}

// Search implements feed.Search. It waits a moment for the index to apply what
// was committed before the request.
func (s *searcher) Search(ctx context.Context, f *proget.Feed, q feed.Query) (feed.Hits, error) {
	s.await(ctx, f.ID, s.node.tail.Applied()[f.ID])
	hits, err := s.node.index.Search(ctx, search.Query{
		FeedID: f.ID, Text: q.Text, NamePrefix: q.NamePrefix, Prerelease: q.Prerelease, Skip: q.Skip, Take: q.Take})
	return feed.Hits{Total: hits.Total, Keys: hits.Keys}, err
}

func (s *searcher) await(ctx context.Context, feedID, head int64) {
	timeout := time.NewTimer(indexWaits)
	defer timeout.Stop()
	for {
		position, moved := s.node.index.Position(feedID)
		if position >= head {
			return
		}
		select {
		case <-moved:
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// lag returns how many log entries the index has yet to apply.
func (s *searcher) lag() (total int64) {
	for id, head := range s.node.tail.Applied() {
		if id != proget.SystemFeed {
			position, _ := s.node.index.Position(id)
			total += max(head-position, 0)
		}
	}
	return total
}

// run follows the logs until ctx ends.
func (s *searcher) run(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		changed := s.node.tail.Changed()
		err := s.catchUp(ctx)
		pause := indexPause
		if err != nil {
			pause = indexRetries
			if !failing && ctx.Err() == nil { // said once, not every second
				s.node.cfg.Logger.WarnContext(ctx, "the search index could not be brought up to date; it is tried again until it succeeds", "error", err)
			}
		}
		failing = err != nil
		select {
		case <-changed:
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

func (s *searcher) catchUp(ctx context.Context) error {
	if err := s.node.tail.Sync(ctx); err != nil {
		return err
	}
	if err := s.node.authority.Warm(); err != nil {
		return err
	}
	feeds, err := s.node.catalog.Feeds(ctx)
	if err != nil {
		return err
	}
	for _, f := range feeds {
		for more := true; more; {
			if more, err = s.step(ctx, f, s.node.tail.Applied()[f.ID]); err != nil {
				return fmt.Errorf("index feed %s: %w", f.Name, err)
			}
		}
	}
	return nil
}

// step applies the next stretch of a feed's log and reports whether there is
// more.
func (s *searcher) step(ctx context.Context, f *proget.Feed, head int64) (more bool, err error) {
	position, _ := s.node.index.Position(f.ID)
	if position >= head {
		return false, nil
	}
	entries, err := s.node.cfg.DB.LogAfter(ctx, f.ID, position, indexBatch)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	if err := s.syncTo(ctx, f.ID, entries[len(entries)-1].Seq); err != nil {
		return false, err
	}
	var changes []search.Change
	seen := make(map[string]bool)
	for _, e := range entries {
		if seen[e.PackageKey] {
			continue
		}
		seen[e.PackageKey] = true
		d, err := s.document(ctx, f, e.PackageKey)
		if err != nil {
			return false, err
		}
		changes = append(changes, search.Change{Key: e.PackageKey, Document: d})
	}
	last := entries[len(entries)-1].Seq
	return last < head, s.node.index.Update(f.ID, changes, last)
}

// syncTo makes sure that the catalog has applied an entry before packages are
// read from it on the entry's account.
func (s *searcher) syncTo(ctx context.Context, feedID, seq int64) error {
	if s.node.tail.Applied()[feedID] >= seq {
		return nil
	}
	return s.node.tail.Sync(ctx)
}

// document describes a package for search, or returns nil if it is gone or has
// no listed version.
func (s *searcher) document(ctx context.Context, f *proget.Feed, key string) (*search.Document, error) {
	p, err := s.node.catalog.Package(ctx, f, key)
	if errors.Is(err, proget.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	stable := p.Latest(func(v *proget.Version) bool { return v.Status.Listed && !v.Prerelease })
	v := stable
	if v == nil {
		v = p.Latest(func(v *proget.Version) bool { return v.Status.Listed })
	}
	t := s.types[f.Type]
	if v == nil || t == nil {
		return nil, nil
	}
	sum := t.Summary(v)
	return &search.Document{
		Key: key, Name: v.Name, Title: sum.Title, Description: sum.Description, Authors: sum.Authors,
		Tags: slices.Clone(sum.Tags), Stable: stable != nil,
	}, nil
}
