package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const (
	indexBatch   = 1000                   // packages or log entries per update of the index
	indexPause   = 250 * time.Millisecond // between checks of the logs when nobody asks
	indexGather  = time.Second            // how long to gather changes while nobody searches; each update costs a segment
	indexRetries = time.Second            // after an error

	// Longest pauses before a feed that keeps failing is retried: if only the disk
	// refuses writes, and if each attempt reads all packages.
	maxUnwritable = time.Minute
	maxRebuild    = 10 * time.Minute
)

// errRebuild says that rebuilding a feed's index failed after reading its packages.
var errRebuild = errors.New("index all packages")

// A setback records failures to index a feed.
type setback struct {
	failures int // in a row
	until    time.Time
}

// after returns the setback after another failure.
func (b setback) after(err error, now time.Time) setback {
	longest := indexRetries
	switch {
	case errors.Is(err, errRebuild):
		longest = maxRebuild
	case errors.Is(err, search.ErrUnwritable):
		longest = maxUnwritable
	}
	pause := indexRetries << min(b.failures, 10)
	return setback{b.failures + 1, now.Add(min(pause, longest))}
}

// run keeps the index current until ctx ends.
func (s *searcher) run(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		changed := s.node.tail.Changed()
		err := s.catchUp(ctx)
		pause := indexPause
		if err != nil {
			pause = indexRetries
			if !failing && ctx.Err() == nil { // log the first failure only
				s.node.cfg.Logger.WarnContext(ctx, "the search index could not be brought up to date; it is tried again until it succeeds", "error", err)
			}
		}
		failing = err != nil || s.failing()
		select {
		case <-changed:
			s.gather(ctx)
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// gather waits a second for more changes, unless somebody searches.
func (s *searcher) gather(ctx context.Context) {
	select {
	case <-s.hurry:
	case <-time.After(indexGather):
	case <-ctx.Done():
	}
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
	s.fetch(ctx)
	feeds = s.served(feeds)
	var errs []error
	behind := false
	for _, f := range feeds {
		if !s.resting(f.ID) {
			errs = append(errs, s.settle(f, s.follow(ctx, f)))
		}
		behind = behind || !s.complete(f.ID)
	}
	s.behind.Store(behind)
	return errors.Join(errs...)
}

// served returns the feeds whose types this node knows, and remembers the others. It
// leaves the others' part of the index as it is: skipping log entries whose packages
// this node cannot read would lose them, also for nodes that start with a copy of the
// index.
func (s *searcher) served(feeds []*proget.Feed) []*proget.Feed {
	foreign := make(map[int64]*proget.Feed)
	var known []*proget.Feed
	for _, f := range feeds {
		if s.types[f.Type] == nil {
			foreign[f.ID] = f
		} else {
			known = append(known, f)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreign = foreign
	maps.DeleteFunc(s.setbacks, func(id int64, _ setback) bool {
		return !slices.ContainsFunc(known, func(f *proget.Feed) bool { return f.ID == id })
	})
	return known
}

// warnings names the feeds that this node does not serve.
func (s *searcher) warnings() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make(map[string][]string)
	for _, f := range s.foreign {
		names[f.Type] = append(names[f.Type], f.Name)
	}
	for _, t := range slices.Sorted(maps.Keys(names)) {
		slices.Sort(names[t])
		all = append(all, fmt.Sprintf("This server does not serve feeds of the type %s: %s.", t, strings.Join(names[t], ", ")))
	}
	return all
}

// resting reports whether a feed failed so recently that it is not to be retried yet.
func (s *searcher) resting(feedID int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.setbacks[feedID].until)
}

// settle records the outcome of indexing a feed, and returns the error.
func (s *searcher) settle(f *proget.Feed, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.setbacks, f.ID)
		return nil
	}
	s.setbacks[f.ID] = s.setbacks[f.ID].after(err, time.Now())
	return fmt.Errorf("index feed %s: %w", f.Name, err)
}

// failing reports whether the last attempt to index any feed failed.
func (s *searcher) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.setbacks) > 0
}

func (s *searcher) follow(ctx context.Context, f *proget.Feed) error {
	for {
		more, err := s.step(ctx, f, s.node.tail.Applied()[f.ID])
		if err != nil || !more {
			return err
		}
	}
}

// step applies the next part of a feed's log and reports whether there is more. It
// rebuilds the feed's index if the log does not say what is missing: if the index is
// empty or was filled with another release's Summary, the log's oldest entries are
// gone, or the log is another one, as after a database was restored.
func (s *searcher) step(ctx context.Context, f *proget.Feed, head int64) (more bool, err error) {
	losses := s.losses(f.ID) // read first: the log may be replaced while step reads it
	position, _ := s.node.index.Position(f.ID)
	switch {
	case position == head && (head == 0 || s.knows(f.ID)):
		return false, nil
	case position <= 0 || position > head:
		return false, s.rebuild(ctx, f, head, losses)
	}
	entries, err := s.node.cfg.DB.LogAfter(ctx, f.ID, position-1, 1+indexBatch)
	if err != nil {
		return false, err
	}
	entries, ok := s.continues(f, position, entries, losses)
	switch {
	case !ok, len(entries) == 0 && position < head:
		return false, s.rebuild(ctx, f, head, losses)
	case len(entries) == 0:
		return false, nil
	}
	newest := entries[len(entries)-1]
	last := newest.Seq
	if err := s.syncTo(ctx, f.ID, last); err != nil {
		return false, err
	}
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.PackageKey
	}
	slices.Sort(keys)
	changes, err := s.changes(ctx, f, slices.Compact(keys))
	if err != nil {
		return false, err
	}
	return last < head, s.node.index.Update(ctx, f.ID, changes, position, last, s.mark(f, newest.Operation))
}

// continues returns the log entries after position, and whether the log is the one that
// the index has followed so far: it has the same entry at position, and the index has
// the present Summary. If the entry at position was removed by compaction, the log is
// the same if this process has verified it before.
func (s *searcher) continues(f *proget.Feed, position int64, entries []proget.Entry, losses int) (later []proget.Entry, same bool) {
	if len(entries) > 0 && entries[0].Seq == position {
		same = s.mark(f, entries[0].Operation) == s.node.index.Operation(f.ID)
		if delete(s.familiar, f.ID); same {
			s.familiar[f.ID] = losses
		}
		return entries[1:], same
	}
	return entries, s.knows(f.ID) && len(entries) > 0 && entries[0].Seq == position+1
}

// mark returns what the index stores with a feed's position: the type's SummaryVersion
// and the operation of the log entry there.
func (s *searcher) mark(f *proget.Feed, operation string) string {
	return fmt.Sprint(s.types[f.Type].SummaryVersion, " ", operation)
}

// operationAt returns the operation of a log entry, or "" if the entry is gone.
func (s *searcher) operationAt(ctx context.Context, feedID, seq int64) (string, error) {
	entries, err := s.node.cfg.DB.LogAfter(ctx, feedID, seq-1, 1)
	if err != nil || len(entries) == 0 || entries[0].Seq != seq {
		return "", err
	}
	return entries[0].Operation, nil
}

// rebuild indexes the packages that a feed has now, instead of all its past changes.
// Changes made meanwhile come after head and are applied again later. Until the last
// batch, the position counts batches below 0, so that the next update notices if the
// index was lost in between.
func (s *searcher) rebuild(ctx context.Context, f *proget.Feed, head int64, losses int) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", errRebuild, err)
		}
	}()
	if err := s.node.index.Reset(ctx, f.ID); err != nil || head == 0 {
		return err
	}
	operation, err := s.operationAt(ctx, f.ID, head)
	if err != nil {
		return err
	}
	began, packages := time.Now(), 0
	position, after := int64(0), ""
	for position <= 0 {
		keys, err := s.node.cfg.DB.ListPackageKeys(ctx, f.ID, after, indexBatch)
		if err != nil {
			return err
		}
		changes, err := s.changes(ctx, f, keys)
		if err != nil {
			return err
		}
		to := position - 1
		if len(keys) < indexBatch {
			to = head
		} else {
			after = keys[len(keys)-1]
		}
		if err := s.node.index.Update(ctx, f.ID, changes, position, to, s.mark(f, operation)); err != nil {
			return err
		}
		position = to
		packages += len(keys)
	}
	s.familiar[f.ID] = losses
	s.node.cfg.Logger.InfoContext(ctx, "a feed was indexed anew", "feed", f.Name, "packages", packages, "seconds", time.Since(began).Seconds())
	return nil
}

// changes describes the packages with the given keys as they are now.
func (s *searcher) changes(ctx context.Context, f *proget.Feed, keys []string) ([]search.Change, error) {
	changes := make([]search.Change, len(keys))
	for i, key := range keys {
		d, err := s.document(ctx, f, key)
		if err != nil {
			return nil, err
		}
		changes[i] = search.Change{Key: key, Document: d}
	}
	return changes, nil
}

// syncTo ensures that the catalog has applied the log entry seq before packages are
// read because of it.
func (s *searcher) syncTo(ctx context.Context, feedID, seq int64) error {
	if s.node.tail.Applied()[feedID] >= seq {
		return nil
	}
	return s.node.tail.Sync(ctx)
}

// document describes a package for search. It returns nil if the package is gone, is a
// folder or has no listed version.
func (s *searcher) document(ctx context.Context, f *proget.Feed, key string) (*search.Document, error) {
	t := s.types[f.Type]
	if t == nil || t.Folder != nil && t.Folder(key) {
		return nil, nil
	}
	p, err := s.node.catalog.Package(ctx, f, key)
	if errors.Is(err, proget.ErrNotFound) {
		return nil, nil
	}
	if errors.As(err, new(*indexing.PanicError)) { // it would panic each time, and delay the feed's other packages
		s.node.cfg.Logger.ErrorContext(ctx, "a feed type panicked at a package, which search does not find", "feed", f.Name, "package", key, "error", err, indexing.Stack(err))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	newest, v := p.Latest(feed.Listed), p.Latest(feed.Stable, feed.Listed)
	if newest == nil {
		return nil, nil
	}
	d := &search.Document{Key: key, Name: v.Name, Stable: !v.Prerelease}
	for _, each := range p.Versions {
		d.Downloads += each.Downloads
	}
	s.describe(ctx, f, d, p, v, newest)
	return d, nil
}

// describe adds what the feed's type says about a package. If the type panics, the
// package is found by its name only: the process must not end, and then again at each
// start.
func (s *searcher) describe(ctx context.Context, f *proget.Feed, d *search.Document, p *feed.Package, shown, newest *proget.Version) {
	bare := *d
	err := indexing.Safely(func() error {
		summarize(s.types[f.Type], d, p, shown, newest)
		return nil
	})
	if err != nil {
		*d = bare
		s.node.cfg.Logger.ErrorContext(ctx, "a feed type panicked at a package, which search finds by its name alone",
			"feed", f.Name, "package", shown.Name, "error", err, indexing.Stack(err))
	}
}

func summarize(t *feed.Type, d *search.Document, p *feed.Package, shown, newest *proget.Version) {
	sum := t.Summary(shown)
	d.Title, d.Description, d.Authors, d.Owner, d.Tags, d.Types = sum.Title, sum.Description, sum.Authors, sum.Owners, sum.Tags, sum.Types
	if newest != shown {
		d.Types = slices.Concat(sum.Types, t.Summary(newest).Types)
	}
	if t.Modern != nil {
		older := func(v *proget.Version) bool { return v.Status.Listed && !t.Modern(v) }
		d.Modern = p.Latest(older) == nil
		d.ModernStable = p.Latest(func(v *proget.Version) bool { return older(v) && !v.Prerelease }) == nil
	}
}
