package upkeep

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

// KindCompaction is the kind of job that shortens the feeds' logs.
const KindCompaction = "compaction"

// compactBatch is the maximum number of entries that one transaction removes.
const compactBatch = 2000

// A Compactor removes the oldest entries of the feeds' logs, which nobody needs any
// longer.
type Compactor struct {
	db   *db.Store
	opts CompactorOptions
}

// CompactorOptions configure a Compactor. The zero value is ready to use.
type CompactorOptions struct {
	// Kept is the age up to which every entry is kept, so that servers that were away
	// can catch up; default 7 days.
	Kept time.Duration

	// Limit is the age above which entries are removed even if a follower has not seen
	// them; that follower rebuilds its data. Default: 30 days.
	Limit time.Duration
}

// NewCompactor returns a Compactor. opts may be nil.
func NewCompactor(store *db.Store, opts *CompactorOptions) *Compactor {
	c := &Compactor{db: store}
	if opts != nil {
		c.opts = *opts
	}
	c.opts.Kept = cmp.Or(c.opts.Kept, 7*24*time.Hour)
	c.opts.Limit = cmp.Or(c.opts.Limit, 30*24*time.Hour)
	return c
}

// Kind implements [indexing.Worker].
func (*Compactor) Kind() string { return KindCompaction }

// Work implements [indexing.Worker]. It keeps the newest entry of each log, whatever
// its age, because followers of a log recognize the log by it.
func (c *Compactor) Work(ctx context.Context, _ *proget.Job, p *indexing.Progress) error {
	ranges, err := c.db.LogRanges(ctx)
	if err != nil {
		return err
	}
	var removed, entries int64
	for _, r := range ranges {
		entries += r.Last - r.First + 1
	}
	say := func(next, first int64) {
		removed += next - first
		p.Set(removed, entries, fmt.Sprintf("Log entries removed: %d", removed))
	}
	for _, r := range ranges {
		next, err := c.cut(ctx, r.FeedID, r.First, min(r.Slowest, r.Last-1), c.opts.Kept, say)
		if err != nil {
			return err
		}
		forced, err := c.cut(ctx, r.FeedID, next, r.Last-1, max(c.opts.Limit, c.opts.Kept), say)
		if err != nil {
			return err
		}
		if forced > next {
			p.Log("Feed %d: log entries that had not been read for %s were removed: %d.", r.FeedID, c.opts.Limit, forced-next)
		}
	}
	p.Set(entries, entries, fmt.Sprintf("Log entries removed: %d of %d", removed, entries))
	return nil
}

// cut removes entries that are older than kept, up to the number upto, and returns the
// number of the first one that is left.
func (c *Compactor) cut(ctx context.Context, feedID, first, upto int64, kept time.Duration, say func(next, first int64)) (int64, error) {
	for first <= upto {
		last := min(first+compactBatch-1, upto)
		next, err := c.db.CompactLog(ctx, feedID, first, last, kept)
		if err != nil {
			return first, err
		}
		say(next, first)
		if first = next; next <= last {
			break
		}
	}
	return first, nil
}
