package upkeep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// KindCollection is the kind of job that frees storage. Its argument is
// [Preview] or empty.
const KindCollection = "collection"

// Preview is the argument of a collection that only reports what it would free.
const Preview = "preview"

const (
	markWindow  = 1000      // ids per statement, which limits its locks
	deleteBatch = 500       // objects per query of the table
	indexKept   = time.Hour // for clients that still read a generation that has ended
	deleteWidth = 16        // deletions at once, because each waits for storage
)

// A Collector frees storage.
type Collector struct {
	db    *db.Store
	blobs *storage.Set
	opts  CollectorOptions
}

// CollectorOptions configure a Collector. The zero value is ready to use.
type CollectorOptions struct {
	// Grace is how long a blob is kept after the last reference to it is gone, during
	// which a deleted version can be restored; default 24 h. Objects that were never
	// recorded are kept as long, but at least for twice [db.RecordWithin].
	Grace time.Duration

	// Probes returns the keys of the probes that servers use; the Collector removes all
	// others. If nil, it removes none.
	Probes func(ctx context.Context) (map[string]bool, error)

	Logger *slog.Logger // default: slog.Default()
}

// NewCollector returns a Collector. opts may be nil.
func NewCollector(store *db.Store, blobs *storage.Set, opts *CollectorOptions) *Collector {
	c := &Collector{db: store, blobs: blobs}
	if opts != nil {
		c.opts = *opts
	}
	c.opts.Grace = cmp.Or(c.opts.Grace, 24*time.Hour)
	c.opts.Logger = cmp.Or(c.opts.Logger, slog.Default())
	return c
}

// Kind implements [indexing.Worker].
func (*Collector) Kind() string { return KindCollection }

// Work implements [indexing.Worker].
func (c *Collector) Work(ctx context.Context, j *proget.Job, p *indexing.Progress) error {
	run := &collection{Collector: c, progress: p, began: time.Now(), away: make(map[int64]error), skipped: make(map[int64]bool)}
	if j.Argument == Preview {
		return run.preview(ctx)
	}
	if err := run.free(ctx); err != nil {
		return err
	}
	run.say(1, 1, run.freed.String()+" freed")
	c.opts.Logger.InfoContext(ctx, "storage was freed", "blobs", run.freed.blobs, "bytes", run.freed.bytes, "took", time.Since(run.began))
	return nil
}

// collection is one run of a Collector.
type collection struct {
	*Collector
	progress  *indexing.Progress
	began     time.Time
	freed     amount
	undeleted error           // why an object could not be deleted
	away      map[int64]error // storages that were found unavailable by a deletion: all steps skip them
	skipped   map[int64]bool  // storages in which a step failed: the next run handles them
}

// free continues if a storage is unavailable or an object cannot be deleted, and
// returns the errors at the end.
func (c *collection) free(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.purge, c.mark} { // in the database alone
		if err := step(ctx); err != nil {
			return err
		}
	}
	var failed []error
	for _, step := range []func(context.Context) error{c.delete, c.sweep, c.delete, c.leftovers} {
		failed = append(failed, step(ctx))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(append(failed, c.undeleted)...)
}

// amount is a number of blobs with their bytes.
type amount struct{ blobs, bytes int64 }

func (a *amount) add(bytes int64) { a.blobs, a.bytes = a.blobs+1, a.bytes+bytes }

func (a amount) String() string {
	return fmt.Sprintf("%s (%s)", quantity.Of(a.blobs, "file"), quantity.Bytes(a.bytes))
}

func (c *collection) say(done, total int64, what string) { c.progress.Set(done, total, what) }

// purge forgets deleted versions that can no longer be restored, and former generations
// of repository indexes that nobody reads any longer.
func (c *collection) purge(ctx context.Context) error {
	indexes := func(ctx context.Context, _ time.Duration) (int64, error) { return c.db.PurgeIndexFiles(ctx, indexKept) }
	for _, purge := range []func(context.Context, time.Duration) (int64, error){c.db.PurgeDeleted, indexes} {
		for n := int64(1); n > 0; {
			var err error
			if n, err = purge(ctx, c.opts.Grace); err != nil {
				return err
			}
		}
	}
	return nil
}

// mark marks the blobs to which nothing refers, one window of ids at a time.
func (c *collection) mark(ctx context.Context) error {
	last, err := c.db.LastBlob(ctx)
	if err != nil {
		return err
	}
	for after := int64(0); after < last; after += markWindow {
		if _, err := c.db.MarkBlobs(ctx, after, after+markWindow, c.opts.Grace); err != nil {
			return err
		}
		c.say(min(after+markWindow, last), last, "Looking for files without a version")
	}
	return nil
}

// delete deletes the objects of marked blobs, and then their rows.
func (c *collection) delete(ctx context.Context) error {
	c.undeleted = nil // what stayed before is tried again
	for after := int64(0); ; {
		batch, err := c.db.ListMarked(ctx, after, deleteBatch)
		if err != nil || len(batch) == 0 {
			return err
		}
		after = batch[len(batch)-1].ID
		if err := c.db.DeleteBlobs(ctx, c.deleteObjects(ctx, batch)); err != nil {
			return err
		}
		rate := float64(c.freed.blobs) / max(time.Since(c.began).Seconds(), 0.001)
		c.say(c.freed.blobs, 0, fmt.Sprintf("%s deleted, %.0f a second", c.freed, rate))
	}
}

// deleteObjects deletes the objects of a batch and returns the ids of the rows whose
// objects are gone. If an object cannot be deleted, its row remains for the next run. So
// do the rows of a storage that is unavailable, which would otherwise have to time out
// once for each object.
func (c *collection) deleteObjects(ctx context.Context, batch []db.BlobRow) (gone []int64) {
	var g errgroup.Group
	var mu sync.Mutex
	g.SetLimit(deleteWidth)
	skip := func(id int64) bool {
		mu.Lock()
		defer mu.Unlock()
		c.undeleted = cmp.Or(c.undeleted, c.away[id])
		return c.away[id] != nil
	}
	for _, b := range batch {
		if skip(b.StorageID) {
			continue
		}
		g.Go(func() error {
			away, err := c.deleteObject(ctx, b)
			mu.Lock()
			defer mu.Unlock()
			if away {
				c.away[b.StorageID] = err
			}
			if err != nil {
				c.undeleted = cmp.Or(c.undeleted, err)
				return nil
			}
			gone = append(gone, b.ID)
			c.freed.add(b.Size)
			return nil
		})
	}
	_ = g.Wait()
	return gone
}

// deleteObject deletes an object. If that fails because its whole storage is
// unavailable, away is true.
func (c *collection) deleteObject(ctx context.Context, b db.BlobRow) (away bool, err error) {
	blobs, err := c.blobs.Store(ctx, b.StorageID)
	away = err != nil
	if err == nil {
		err = blobs.Delete(ctx, b.StorageKey)
		away = errors.Is(err, proget.ErrUnavailable) && !answers(ctx, blobs)
	}
	if err != nil {
		err = fmt.Errorf("delete %s: %w", b.StorageKey, err)
	}
	return away, err
}

// answers reports whether a storage can be read, even if it does not allow a change.
func answers(ctx context.Context, blobs *storage.Store) bool {
	for _, err := range blobs.List(ctx, storage.OwnerPrefix) {
		return err == nil
	}
	return true
}

// sweep records the objects that no row names, because their upload was never recorded,
// as marked blobs. A late publisher finds the mark.
func (c *collection) sweep(ctx context.Context) error {
	var ours map[string]bool
	if c.opts.Probes != nil {
		var err error
		if ours, err = c.opts.Probes(ctx); err != nil {
			return err
		}
	}
	return c.each(ctx, func(storageID int64, blobs *storage.Store) error {
		if err := checkOwner(ctx, blobs, ours); errors.Is(err, ErrForeign) {
			return indexing.GiveUp(err)
		} else if err != nil {
			return err
		}
		return c.strays(ctx, storageID, blobs, func(o *storage.Object) error {
			err := c.db.CondemnObject(ctx, storageID, o.Key, o.Size)
			if errors.Is(err, proget.ErrConflict) { // it was recorded just now
				return nil
			}
			return err
		})
	})
}

// strays calls found for each object that no row names and that, by the storage's own
// clock, is too old to be recorded any more.
func (c *collection) strays(ctx context.Context, storageID int64, blobs *storage.Store, found func(o *storage.Object) error) error {
	now, err := blobs.Clock(ctx)
	if err != nil {
		return err
	}
	var seen int64
	for pair, err := range Compare(ctx, c.db, blobs, storageID) {
		if err != nil {
			return err
		}
		if pair.Object == nil {
			continue
		}
		if seen++; seen%1000 == 0 {
			c.say(seen, 0, fmt.Sprintf("%d objects in storage compared with the database", seen))
		}
		if pair.Row == nil && now.Sub(pair.Object.ModTime) > c.age() {
			if err := found(pair.Object); err != nil {
				return err
			}
		}
	}
	return nil
}

// age returns how old an unrecorded object must be to be removed.
func (c *collection) age() time.Duration { return max(c.opts.Grace, 2*db.RecordWithin) }

// each calls fn for every storage in which no step has failed yet.
func (c *collection) each(ctx context.Context, fn func(storageID int64, blobs *storage.Store) error) error {
	return eachStorage(ctx, c.db, c.blobs, func(st proget.Storage, blobs *storage.Store) error {
		if c.skipped[st.ID] {
			return nil
		}
		err := c.away[st.ID]
		if err == nil {
			err = fn(st.ID, blobs)
		}
		c.skipped[st.ID] = err != nil
		return err
	})
}

// leftovers removes the remains of killed processes: incomplete uploads, and probes
// that no server uses.
func (c *collection) leftovers(ctx context.Context) error {
	used := map[string]bool{}
	if c.opts.Probes != nil {
		var err error
		if used, err = c.opts.Probes(ctx); err != nil {
			return err
		}
	}
	return c.each(ctx, func(_ int64, blobs *storage.Store) error {
		n, err := blobs.RemoveLeftovers(ctx, c.age())
		if n > 0 {
			c.opts.Logger.InfoContext(ctx, "parts of uploads that were never finished were removed", "parts", n)
		}
		if err != nil || c.opts.Probes == nil {
			return err
		}
		return c.removeProbes(ctx, blobs, used)
	})
}

func (c *collection) removeProbes(ctx context.Context, blobs *storage.Store, used map[string]bool) error {
	now, err := blobs.Clock(ctx)
	if err != nil {
		return err
	}
	for o, err := range blobs.List(ctx, storage.ProbePrefix) {
		if err == nil && !used[o.Key] && !strings.HasPrefix(o.Key, storage.OwnerPrefix) && now.Sub(o.ModTime) > c.age() {
			err = blobs.Delete(ctx, o.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// preview reports what a run would free.
func (c *collection) preview(ctx context.Context) error {
	last, err := c.db.LastBlob(ctx)
	if err != nil {
		return err
	}
	var garbage, strays amount
	for after := int64(0); after < last; after += markWindow {
		blobs, bytes, err := c.db.SumGarbage(ctx, after, after+markWindow, c.opts.Grace)
		if err != nil {
			return err
		}
		garbage.blobs, garbage.bytes = garbage.blobs+blobs, garbage.bytes+bytes
		c.say(min(after+markWindow, last), last, fmt.Sprintf("%s without a version so far", garbage))
	}
	err = c.each(ctx, func(storageID int64, blobs *storage.Store) error {
		return c.strays(ctx, storageID, blobs, func(o *storage.Object) error { strays.add(o.Size); return nil })
	})
	if err != nil {
		return err
	}
	c.say(1, 1, fmt.Sprintf("Would free %s of deleted versions and %s of unrecorded uploads", garbage, strays))
	return nil
}
