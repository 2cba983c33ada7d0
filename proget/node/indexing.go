package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

const (
	dutyEvery    = time.Second         // between two rounds of the primary's duties
	jobsKept     = 30 * 24 * time.Hour // finished jobs, for the pages
	housekeeping = 300                 // rounds between two looks at the schedule and at old jobs
)

// schedule says which jobs are done by themselves, and how often.
var schedule = map[string]time.Duration{
	upkeep.KindCollection: time.Hour,
}

// runIndexing works jobs, and leads whenever this node is elected, until ctx
// ends. A node that does not belong to the cluster must do neither: its storage
// or its key may be another's.
func (n *Node) runIndexing(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	pool := indexing.NewPool(n.cfg.DB, n.cfg.Name, &indexing.PoolOptions{AtOnce: n.cfg.JobsAtOnce, Logger: n.cfg.Logger},
		&integrity{n.cfg.DB, n.cfg.Blobs, n.cfg.Logger},
		upkeep.NewCollector(n.cfg.DB, n.stores, &upkeep.CollectorOptions{Grace: n.cfg.Grace, Probes: n.registry.Probes, Logger: n.cfg.Logger}))
	g.Go(func() error { return pool.Run(ctx) })
	g.Go(func() error { return n.elector.Run(ctx, n.lead) })
	return g.Wait()
}

// lead does the primary's duties until ctx ends. Each writes under the fence,
// so that a primary which is late is refused.
func (n *Node) lead(ctx context.Context, fence proget.Fence) error {
	n.cfg.Logger.InfoContext(ctx, "this node is the primary indexing node", "term", fence.Number)
	stats := &indexing.Follower{Name: "stats", DB: n.cfg.DB, Office: Office,
		Apply: func(ctx context.Context, tx *db.Tx, feedID, after, upto int64) error {
			return tx.AddFeedStats(ctx, feedID, after, upto)
		}}
	failing := false
	for round := 0; ; round++ {
		err := n.duties(ctx, fence, stats, round)
		if errors.Is(err, proget.ErrStale) {
			return err
		}
		if err != nil && !failing && ctx.Err() == nil { // said once, not every second
			n.cfg.Logger.WarnContext(ctx, "a duty of the primary failed; it is tried again until it succeeds", "error", err)
		}
		failing = err != nil
		select {
		case <-time.After(dutyEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) duties(ctx context.Context, fence proget.Fence, stats *indexing.Follower, round int) error {
	heads, err := n.cfg.DB.Heads(ctx)
	if err != nil {
		return err
	}
	if err := stats.CatchUp(ctx, fence, heads); err != nil {
		return err
	}
	return n.cfg.DB.LeaderTx(ctx, Office, fence, func(tx *db.Tx) error {
		if _, err := tx.ReleaseExpiredJobs(ctx); err != nil {
			return err
		}
		if round%housekeeping != housekeeping-1 {
			return nil
		}
		for kind, every := range schedule {
			if err := tx.EnqueueDue(ctx, newJob(kind, ""), every); err != nil {
				return err
			}
		}
		_, err := tx.DeleteFinishedJobs(ctx, jobsKept)
		return err
	})
}

// JobIntegrity is the kind of job that reads every stored file again.
const JobIntegrity = "integrity"

// integrity reads every stored object and compares its digest with the one
// recorded at upload. It reports; it never mends silently.
type integrity struct {
	db    *db.Store
	blobs *storage.Store
	log   *slog.Logger
}

func (*integrity) Kind() string { return JobIntegrity }

func (w *integrity) Work(ctx context.Context, _ *proget.Job, p *indexing.Progress) error {
	total, bytes, err := w.db.CountBlobs(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	var done, read, damaged, after int64
	for {
		blobs, err := w.db.ListBlobs(ctx, after, 100)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			whole, err := w.check(ctx, b)
			if err != nil {
				return err
			}
			if !whole {
				damaged++
			}
			done, read, after = done+1, read+b.Size, b.ID
			p.Set(done, max(total, done), progressText(read, bytes, damaged, time.Since(began)))
		}
		if len(blobs) == 0 {
			break
		}
	}
	p.Set(done, done, fmt.Sprintf("%d files read again, %d missing or damaged.", done, damaged))
	if damaged > 0 {
		return indexing.Cancel(fmt.Errorf("%d of %d stored files are missing or damaged; the log names them", damaged, done))
	}
	return nil
}

func progressText(read, bytes, damaged int64, took time.Duration) string {
	rate := float64(read) / max(took.Seconds(), 0.001)
	left := time.Duration(float64(max(bytes-read, 0)) / max(rate, 1) * float64(time.Second))
	return fmt.Sprintf("%.0f MB/s, %s remaining, %d damaged", rate/1e6, left.Round(time.Second), damaged)
}

// check reports whether a blob is whole, and tells the log which versions
// suffer if it is not.
func (w *integrity) check(ctx context.Context, b db.BlobRow) (whole bool, err error) {
	fault := w.blobs.Verify(ctx, storage.Blob{Key: b.StorageKey, Size: b.Size, Digests: proget.Digests{proget.SHA256: b.SHA256}})
	if !errors.Is(fault, storage.ErrDamaged) && !errors.Is(fault, proget.ErrNotFound) {
		return fault == nil, fault
	}
	versions, err := w.db.BlobVersions(ctx, b.ID)
	if err != nil {
		return false, err
	}
	for _, version := range versions {
		w.log.ErrorContext(ctx, "a stored file is missing or damaged; push the package again, or put the file back from a backup",
			"version", version, "key", b.StorageKey, "error", fault)
	}
	return len(versions) == 0, nil // deleted meanwhile: nobody misses it
}
