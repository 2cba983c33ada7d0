package node

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget"
)

const (
	dutyEvery    = time.Second         // between two rounds of the primary's duties
	jobsKept     = 30 * 24 * time.Hour // finished jobs, for the pages
	termsKept    = 7 * 24 * time.Hour
	housekeeping = 300 // rounds between two looks at what is too old to be kept
)

// tasks are what is done again and again.
var tasks = []indexing.Task{
	{Name: "collection", Title: "Free storage", Expression: "15 * * * *",
		About: "Removes the files of versions that were deleted longer ago than the grace period, uploads that were given up, and what nothing refers to.",
		Job:   db.NewJob{Kind: upkeep.KindCollection, Lane: upkeep.Lane}},
	{Name: "integrity", Title: "Check stored files", Expression: "45 1 * * 0",
		About: "Reads every stored file again, reports those that are missing or damaged, and mends them from other copies.",
		Job:   db.NewJob{Kind: upkeep.KindIntegrity, Lane: upkeep.Lane}},
	{Name: "move", Title: "Move files to their feed's storage", Expression: "30 2 * * *",
		About: "Moves what was stored elsewhere by a server that had not heard yet of a feed's new storage.",
		Job:   db.NewJob{Kind: upkeep.KindMove, Lane: upkeep.Lane}},
}

// runIndexing works jobs, and leads whenever this node is elected, until ctx
// ends. A node that does not belong to the cluster must do neither: its storage
// or its key may be another's.
func (n *Node) runIndexing(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	pool := indexing.NewPool(n.cfg.DB, n.cfg.Name, &indexing.PoolOptions{
		Lanes: map[string]int{"": n.cfg.JobsAtOnce, upkeep.Lane: 1}, Logger: n.cfg.Logger},
		upkeep.NewInspector(n.cfg.DB, n.stores, &upkeep.InspectorOptions{Rate: n.cfg.InspectRate, Logger: n.cfg.Logger}),
		upkeep.NewMover(n.cfg.DB, n.stores, n.cfg.Logger),
		upkeep.NewCollector(n.cfg.DB, n.stores, &upkeep.CollectorOptions{Grace: n.cfg.Grace, Probes: n.registry.Probes, Logger: n.cfg.Logger}))
	g.Go(func() error { return pool.Run(ctx) })
	g.Go(func() error { return n.elector.Run(ctx, n.lead) })
	return g.Wait()
}

// lead does the primary's duties until ctx ends. Each writes under the fence,
// so that a primary which is late is refused.
func (n *Node) lead(ctx context.Context, fence proget.Fence) error {
	n.cfg.Logger.InfoContext(ctx, "this node is the primary indexing node", "term", fence.Number)
	n.registry.Hurry()
	defer n.registry.Hurry()
	stats := &indexing.Follower{Name: "stats", DB: n.cfg.DB, Office: Office,
		Apply: func(ctx context.Context, tx *db.Tx, feedID, after, upto int64) error {
			return tx.AddFeedStats(ctx, feedID, after, upto)
		}}
	failing := false
	for round := 0; ; {
		err := n.duties(ctx, fence, stats, round)
		if errors.Is(err, proget.ErrStale) {
			return err
		}
		if err != nil && !failing && ctx.Err() == nil { // said once, not every second
			n.cfg.Logger.WarnContext(ctx, "a duty of the primary failed; it is tried again until it succeeds", "error", err)
		}
		if failing = err != nil; !failing {
			round++
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
	if err := n.scheduler.Tick(ctx, fence); err != nil {
		return err
	}
	return n.cfg.DB.LeaderTx(ctx, Office, fence, func(tx *db.Tx) error {
		if _, err := tx.ReleaseExpiredJobs(ctx); err != nil {
			return err
		}
		if _, err := tx.ReleaseDelayedJobs(ctx); err != nil {
			return err
		}
		if round == 0 {
			return tx.BeginTerm(ctx, Office, fence, n.cfg.Name)
		}
		if err := tx.KeepTerm(ctx, Office, fence); err != nil || round%housekeeping != 0 {
			return err
		}
		if err := tx.DeleteOldTerms(ctx, termsKept); err != nil {
			return err
		}
		_, err := tx.DeleteFinishedJobs(ctx, jobsKept)
		return err
	})
}
