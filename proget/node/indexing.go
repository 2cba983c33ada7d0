package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/indexing/retention"
	"github.com/proget-go/ha/indexing/statistics"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
)

const (
	dutyEvery    = time.Second         // between two rounds of the primary's duties
	jobsKept     = 30 * 24 * time.Hour // how long the pages show finished jobs
	termsKept    = 7 * 24 * time.Hour
	hopeless     = 10 * time.Second // a primary gives up after so long without the database
	housekeeping = 300              // rounds between two searches for what is too old to keep
)

// tasks are the built-in scheduled tasks, besides Config.Tasks.
var tasks = []indexing.Task{
	{Name: "retention", Title: "Apply retention rules", Expression: "0 0 * * *",
		About: "Deletes the versions that the retention rules of their feed call for. Each feed with rules has a job of its own.",
		Job:   db.NewJob{Kind: retention.Kind, Lane: retention.Lane}},
	{Name: "collection", Title: "Free storage", Expression: "15 * * * *",
		About: "Removes the files of versions that were deleted longer ago than the grace period, and all other files that nothing refers to.",
		Job:   db.NewJob{Kind: upkeep.KindCollection, Lane: upkeep.Lane}, Preview: upkeep.Preview},
	{Name: "upload-cleanup", Title: "Clean up uploads", Expression: "0 * * * *",
		About: "Discards unfinished uploads to which nothing was added for the grace period; their parts are then freed.",
		Job:   db.NewJob{Kind: upkeep.KindUploads}},
	{Name: "integrity", Title: "Check stored files", Expression: "45 1 * * 0",
		About: "Reads every stored file, reports those that are missing or damaged, and repairs them from other copies.",
		Job:   db.NewJob{Kind: upkeep.KindIntegrity, Lane: upkeep.Lane}},
	{Name: "move", Title: "Move files to their feed's storage", Expression: "30 2 * * *",
		About: "Moves files that a server stored in a feed's former storage because it did not know of the change yet.",
		Job:   db.NewJob{Kind: upkeep.KindMove, Lane: upkeep.Lane}},
	{Name: "compaction", Title: "Shorten the feeds' logs", Expression: "30 * * * *",
		About: "Removes log entries that every follower of the logs has read, once they are older than the configured time (7 days by default), and all that are older than 30 days.",
		Job:   db.NewJob{Kind: upkeep.KindCompaction}},
	{Name: "statistics", Title: "Roll up download counts", Expression: "30 3 1 * *",
		About: "Combines daily download counts into monthly ones, once they are more than 90 days old.",
		Job:   db.NewJob{Kind: statistics.Kind}},
	{Name: "stale-servers", Title: "Remove stale servers", Expression: "30 0 * * *",
		About: "Removes servers that have sent no heartbeat for the configured time (30 days by default), and what they left in storage.",
		Job:   db.NewJob{Kind: cluster.KindStale}},
}

// runIndexing works jobs, and leads whenever this node is elected, until ctx ends. A
// node that does not belong to the cluster must not call it: its storage or key may be
// another's.
func (n *Node) runIndexing(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	workers := append(slices.Clone(n.cfg.Workers),
		retention.NewWorker(n.cfg.DB, n.cfg.Feeds, n.publisher, n.cfg.Logger),
		statistics.NewWorker(n.cfg.DB),
		n.registry.StaleServers(n.cfg.StaleServers),
		upkeep.NewUploadCleaner(n.cfg.DB, n.cfg.Grace),
		upkeep.NewInspector(n.cfg.DB, n.stores, &upkeep.InspectorOptions{Rate: n.cfg.InspectRate, Logger: n.cfg.Logger}),
		upkeep.NewMover(n.cfg.DB, n.stores, n.cfg.Logger),
		upkeep.NewCompactor(n.cfg.DB, &upkeep.CompactorOptions{Kept: n.cfg.LogKept}),
		upkeep.NewCollector(n.cfg.DB, n.stores, &upkeep.CollectorOptions{Grace: n.cfg.Grace, Probes: n.registry.Probes, Logger: n.cfg.Logger}))
	lanes := map[string]int{upkeep.Lane: 1, retention.Lane: 1}
	for _, t := range n.cfg.Tasks {
		lanes[t.Job.Lane] = 1
	}
	lanes[""] = n.cfg.JobsAtOnce
	pool, err := indexing.NewPool(n.cfg.DB, n.cfg.Name, &indexing.PoolOptions{Lanes: lanes, Logger: n.cfg.Logger}, workers...)
	if err != nil {
		return err
	}
	g.Go(func() error { return pool.Run(ctx) })
	g.Go(func() error { return n.elector.Run(ctx, n.lead) })
	return g.Wait()
}

// A duty is a function that the primary repeats once a second during its term; rounds
// count from 0. It writes only under the fence, so that a late primary is refused.
type duty struct {
	name string
	do   func(ctx context.Context, fence proget.Fence, round int) error
}

// lead performs the primary's duties until ctx ends or the term is over. Each duty has
// its own goroutine, so that none delays the others.
func (n *Node) lead(ctx context.Context, fence proget.Fence) error {
	n.cfg.Logger.InfoContext(ctx, "this node is the primary indexing node", "term", fence.Number)
	n.registry.Hurry()
	defer n.registry.Hurry()
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range n.duties() {
		g.Go(func() error { return n.repeat(ctx, fence, d) })
	}
	return g.Wait()
}

func (n *Node) repeat(ctx context.Context, fence proget.Fence, d duty) error {
	failing := false
	for round := 0; ; {
		err := indexing.Safely(func() error { return d.do(ctx, fence, round) })
		if errors.Is(err, proget.ErrStale) || errors.Is(err, errHandOver) {
			return err
		}
		if err != nil && !failing && ctx.Err() == nil { // log the first failure only
			n.cfg.Logger.WarnContext(ctx, "a duty of the primary failed; it is tried again until it succeeds", "duty", d.name, "error", err, indexing.Stack(err))
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

// duties returns the duties of one term.
func (n *Node) duties() []duty {
	all := []duty{
		{"terms", n.recordTerms()},
		{"jobs", n.releaseJobs},
		{"schedule", func(ctx context.Context, fence proget.Fence, _ int) error { return n.scheduler.Tick(ctx, fence) }},
		n.follow(upkeep.Totals(n.cfg.DB, Office)),
	}
	for name, deliver := range n.cfg.Deliver {
		all = append(all, n.follow(indexing.NewCourier("deliver "+name, n.cfg.DB, Office, deliver)))
	}
	for _, x := range n.indexers {
		all = append(all, n.keepIndex(x))
	}
	if s := n.search.Snapshots(n.cfg.SnapshotEvery); s != nil {
		all = append(all, duty{"search snapshot", func(ctx context.Context, fence proget.Fence, _ int) error { return s.Publish(ctx, Office, fence) }})
	}
	return all
}

// errHandOver ends a term, so that another node can lead.
var errHandOver = errors.New("this node hands leadership over")

// recordTerms returns a duty that calls recordTerm and ends the term once it could not
// reach the database for the time hopeless: with a separate elector, another node may
// reach it.
func (n *Node) recordTerms() func(ctx context.Context, fence proget.Fence, round int) error {
	last := time.Now()
	return func(ctx context.Context, fence proget.Fence, round int) error {
		bounded, cancel := context.WithTimeout(ctx, hopeless)
		defer cancel()
		err := n.recordTerm(bounded, fence, round)
		if err == nil {
			last = time.Now()
		} else if ctx.Err() == nil && time.Since(last) >= hopeless {
			err = fmt.Errorf("%w: the database could not be reached for %s: %w", errHandOver, hopeless, err)
		}
		return err
	}
}

// recordTerm records who leads, for the cluster's pages, and ends the term if an
// administrator has asked for that there.
func (n *Node) recordTerm(ctx context.Context, fence proget.Fence, round int) error {
	return n.cfg.DB.LeaderTx(ctx, Office, fence, func(tx *db.Tx) error {
		if round == 0 {
			return tx.BeginTerm(ctx, Office, fence, n.cfg.Name)
		}
		if asked, err := cluster.AskedToStepDown(ctx, tx, fence.Number); err != nil {
			return err
		} else if asked {
			return fmt.Errorf("%w: an administrator asked for it", errHandOver)
		}
		if err := tx.KeepTerm(ctx, Office, fence); err != nil || round%housekeeping != 0 {
			return err
		}
		return tx.DeleteOldTerms(ctx, termsKept)
	})
}

// releaseJobs releases jobs whose worker fell silent or whose time has come, and
// occasionally deletes old jobs and sign-ins.
func (n *Node) releaseJobs(ctx context.Context, fence proget.Fence, round int) error {
	return n.cfg.DB.LeaderTx(ctx, Office, fence, func(tx *db.Tx) error {
		if _, err := tx.ReleaseExpiredJobs(ctx); err != nil {
			return err
		}
		if _, err := tx.ReleaseDelayedJobs(ctx); err != nil || round%housekeeping != 0 {
			return err
		}
		if _, err := tx.DeleteFinishedJobs(ctx, jobsKept); err != nil {
			return err
		}
		return tx.DeleteExpiredSignIns(ctx)
	})
}

func (n *Node) follow(f *indexing.Follower) duty {
	return duty{f.Name, func(ctx context.Context, fence proget.Fence, _ int) error {
		heads, err := n.cfg.DB.Heads(ctx)
		if err != nil {
			return err
		}
		return f.CatchUp(ctx, fence, heads)
	}}
}

// keepIndex returns a duty that keeps a repository index current. It reads packages
// through the catalog, which it brings up to date first.
func (n *Node) keepIndex(x *repoindex.Indexer) duty {
	return duty{x.Name(), func(ctx context.Context, fence proget.Fence, _ int) error {
		if err := n.tail.Sync(ctx); err != nil {
			return err
		}
		return x.CatchUp(ctx, fence, n.tail.Applied())
	}}
}

// newIndexers returns the indexers that keep the feed types' index files current.
func (n *Node) newIndexers() []*repoindex.Indexer {
	var all []*repoindex.Indexer
	for _, t := range n.cfg.Feeds {
		if t.Index == nil {
			continue
		}
		feeds := func(ctx context.Context) ([]*proget.Feed, error) {
			feeds, err := n.catalog.Feeds(ctx)
			return slices.DeleteFunc(slices.Clone(feeds), func(f *proget.Feed) bool { return f.Type != t.Name }), err
		}
		all = append(all, repoindex.NewIndexer(n.indexes, Office, t.Index(n.services()), feeds))
	}
	return all
}
