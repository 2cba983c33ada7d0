package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
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

// Run keeps the index current until ctx ends.
func (x *Index) Run(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		changed := x.cfg.Tail.Changed()
		err := x.CatchUp(ctx)
		pause := indexPause
		if err != nil {
			pause = indexRetries
			if !failing && ctx.Err() == nil { // log the first failure only
				x.cfg.Logger.WarnContext(ctx, "the search index could not be brought up to date; it is tried again until it succeeds", "error", err)
			}
		}
		failing = err != nil || x.failing()
		select {
		case <-changed:
			x.gather(ctx)
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// gather waits a second for more changes, unless somebody searches.
func (x *Index) gather(ctx context.Context) {
	select {
	case <-x.hurry:
	case <-time.After(indexGather):
	case <-ctx.Done():
	}
}

// CatchUp applies what was committed before the call, except to feeds whose index has failed
// lately. It is a round of Run, which must not be running.
func (x *Index) CatchUp(ctx context.Context) error {
	if err := x.cfg.Tail.Sync(ctx); err != nil {
		return err
	}
	feeds, err := x.cfg.Catalog.Feeds(ctx)
	if err != nil {
		return err
	}
	x.fetch(ctx)
	feeds = x.served(feeds)
	var errs []error
	behind := false
	for _, f := range feeds {
		if !x.resting(f.ID) {
			errs = append(errs, x.settle(f, x.follow(ctx, f)))
		}
		behind = behind || !x.complete(f.ID)
	}
	x.behind.Store(behind)
	return errors.Join(errs...)
}

// served returns the feeds whose types this node knows, and remembers the others. It
// leaves the others' part of the index as it is: skipping log entries whose packages
// this node cannot read would lose them, also for nodes that start with a copy of the
// index.
func (x *Index) served(feeds []*proget.Feed) []*proget.Feed {
	foreign := make(map[int64]*proget.Feed)
	var known []*proget.Feed
	for _, f := range feeds {
		if x.types[f.Type] == nil {
			foreign[f.ID] = f
		} else {
			known = append(known, f)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.foreign = foreign
	maps.DeleteFunc(x.setbacks, func(id int64, _ setback) bool {
		return !slices.ContainsFunc(known, func(f *proget.Feed) bool { return f.ID == id })
	})
	return known
}

// Warnings names the feeds that this node does not serve.
func (x *Index) Warnings() (all []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	names := make(map[string][]string)
	for _, f := range x.foreign {
		names[f.Type] = append(names[f.Type], f.Name)
	}
	for _, t := range slices.Sorted(maps.Keys(names)) {
		slices.Sort(names[t])
		all = append(all, fmt.Sprintf("This server does not serve feeds of the type %s: %s.", t, strings.Join(names[t], ", ")))
	}
	return all
}

// resting reports whether a feed failed so recently that it is not to be retried yet.
func (x *Index) resting(feedID int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Now().Before(x.setbacks[feedID].until)
}

// settle records the outcome of indexing a feed, and returns the error.
func (x *Index) settle(f *proget.Feed, err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil {
		delete(x.setbacks, f.ID)
		return nil
	}
	x.setbacks[f.ID] = x.setbacks[f.ID].after(err, time.Now())
	return fmt.Errorf("index feed %s: %w", f.Name, err)
}

// failing reports whether the last attempt to index any feed failed.
func (x *Index) failing() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.setbacks) > 0
}

func (x *Index) follow(ctx context.Context, f *proget.Feed) error {
	for {
		more, err := x.step(ctx, f, x.cfg.Tail.Applied()[f.ID])
		if err != nil || !more {
			return err
		}
	}
}

// step applies the next part of a feed's log and reports whether there is more. It
// rebuilds the feed's index if the log does not say what is missing: if the index is
// empty or was filled with another release's Summary, the log's oldest entries are
// gone, or the log is another one, as after a database was restored.
func (x *Index) step(ctx context.Context, f *proget.Feed, head int64) (more bool, err error) {
	losses := x.cfg.Tail.Losses(f.ID) // read first: the log may be replaced while step reads it
	position, _ := x.cfg.Index.Position(f.ID)
	switch {
	case position == head && (head == 0 || x.knows(f.ID)):
		return false, nil
	case position <= 0 || position > head:
		return false, x.rebuild(ctx, f, head, losses)
	}
	entries, err := x.cfg.DB.LogAfter(ctx, f.ID, position-1, 1+indexBatch)
	if err != nil {
		return false, err
	}
	entries, ok := x.continues(f, position, entries, losses)
	switch {
	case !ok, len(entries) == 0 && position < head:
		return false, x.rebuild(ctx, f, head, losses)
	case len(entries) == 0:
		return false, nil
	}
	newest := entries[len(entries)-1]
	last := newest.Seq
	if err := x.syncTo(ctx, f.ID, last); err != nil {
		return false, err
	}
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.PackageKey
	}
	slices.Sort(keys)
	changes, err := x.changes(ctx, f, slices.Compact(keys))
	if err != nil {
		return false, err
	}
	return last < head, x.cfg.Index.Update(ctx, f.ID, changes, position, last, x.mark(f, newest.Operation))
}

// continues returns the log entries after position, and whether the log is the one that
// the index has followed so far: it has the same entry at position, and the index has
// the present Summary. If the entry at position was removed by compaction, the log is
// the same if this process has verified it before.
func (x *Index) continues(f *proget.Feed, position int64, entries []proget.Entry, losses int) (later []proget.Entry, same bool) {
	if len(entries) > 0 && entries[0].Seq == position {
		same = x.mark(f, entries[0].Operation) == x.cfg.Index.Operation(f.ID)
		if delete(x.familiar, f.ID); same {
			x.familiar[f.ID] = losses
		}
		return entries[1:], same
	}
	return entries, x.knows(f.ID) && len(entries) > 0 && entries[0].Seq == position+1
}

// knows reports whether this process has found the index to match the feed's present
// log.
func (x *Index) knows(feedID int64) bool {
	losses, ok := x.familiar[feedID]
	return ok && losses == x.cfg.Tail.Losses(feedID)
}

// mark returns what the index stores with a feed's position: the type's SummaryVersion
// and the operation of the log entry there.
func (x *Index) mark(f *proget.Feed, operation string) string {
	return fmt.Sprint(x.types[f.Type].SummaryVersion, " ", operation)
}

// operationAt returns the operation of a log entry, or "" if the entry is gone.
func (x *Index) operationAt(ctx context.Context, feedID, seq int64) (string, error) {
	entries, err := x.cfg.DB.LogAfter(ctx, feedID, seq-1, 1)
	if err != nil || len(entries) == 0 || entries[0].Seq != seq {
		return "", err
	}
	return entries[0].Operation, nil
}

// rebuild indexes the packages that a feed has now, instead of all its past changes.
// Changes made meanwhile come after head and are applied again later. Until the last
// batch, the position counts batches below 0, so that the next update notices if the
// index was lost in between.
func (x *Index) rebuild(ctx context.Context, f *proget.Feed, head int64, losses int) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", errRebuild, err)
		}
	}()
	if err := x.cfg.Index.Reset(ctx, f.ID); err != nil || head == 0 {
		return err
	}
	operation, err := x.operationAt(ctx, f.ID, head)
	if err != nil {
		return err
	}
	began, packages := time.Now(), 0
	position, after := int64(0), ""
	for position <= 0 {
		keys, err := x.cfg.DB.ListPackageKeys(ctx, f.ID, after, indexBatch)
		if err != nil {
			return err
		}
		changes, err := x.changes(ctx, f, keys)
		if err != nil {
			return err
		}
		to := position - 1
		if len(keys) < indexBatch {
			to = head
		} else {
			after = keys[len(keys)-1]
		}
		if err := x.cfg.Index.Update(ctx, f.ID, changes, position, to, x.mark(f, operation)); err != nil {
			return err
		}
		position = to
		packages += len(keys)
	}
	x.familiar[f.ID] = losses
	x.cfg.Logger.InfoContext(ctx, "the search index of a feed was rebuilt", "feed", f.Name, "packages", packages, "seconds", time.Since(began).Seconds())
	return nil
}

// syncTo ensures that the catalog has applied the log entry seq before packages are
// read because of it.
func (x *Index) syncTo(ctx context.Context, feedID, seq int64) error {
	if x.cfg.Tail.Applied()[feedID] >= seq {
		return nil
	}
	return x.cfg.Tail.Sync(ctx)
}
