package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

const (
	dutyEvery    = time.Second         // between two rounds of the primary's duties
	jobsKept     = 30 * 24 * time.Hour // finished jobs, for the pages
	housekeeping = 300                 // rounds between two removals of old jobs
)

// runIndexing works jobs, and leads whenever this node is elected.
func (n *Node) runIndexing(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	pool := indexing.NewPool(n.cfg.DB, n.cfg.Name, &indexing.PoolOptions{AtOnce: n.cfg.JobsAtOnce, Logger: n.cfg.Logger},
		&integrity{n.cfg.DB, n.cfg.Blobs, n.cfg.Logger})
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
	for round := 0; ; round++ {
		err := n.duties(ctx, fence, stats, round)
		if errors.Is(err, proget.ErrStale) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			n.cfg.Logger.WarnContext(ctx, "a duty of the primary failed; it will be tried again", "error", err)
		}
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
		if round%housekeeping != 0 {
			return nil
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
			if err := w.check(ctx, b); errors.Is(err, errDamaged) || errors.Is(err, proget.ErrNotFound) {
				w.log.ErrorContext(ctx, "a stored file is missing or damaged", "key", b.StorageKey, "sha256", b.SHA256, "error", err)
				damaged++
			} else if err != nil {
				return err
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

var errDamaged = errors.New("the bytes do not match their digest")

func (w *integrity) check(ctx context.Context, b db.BlobRow) error {
	content, err := w.blobs.Open(ctx, b.StorageKey)
	if err != nil {
		return err
	}
	defer content.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return fmt.Errorf("read %s: %w", b.StorageKey, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != b.SHA256 {
		return fmt.Errorf("%s: %w", b.StorageKey, errDamaged)
	}
	return nil
}
