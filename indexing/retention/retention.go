// Package retention deletes the versions of feeds that nobody needs any more, by
// the rules that administrators gave the feeds.
//
// A [Chooser] decides, out of what is known of the versions, and does nothing
// else. A [Worker] shows it the packages of a feed and deletes what it chose, as
// a person would: a version is kept aside for a while, and can be brought back.
package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
)

// Kind is the kind of job that deletes by the rules of a feed. Without an
// argument it queues one for each feed that has rules.
const Kind = "retention"

// Lane is the lane of these jobs: a large feed takes a while, and light jobs do
// not wait for it.
const Lane = "retention"

// preview follows the feed's name in the argument of a job that only tells what
// would go.
const preview = " preview"

// Actor is who deletes, in the log of the feed.
const Actor = "Retention"

// Job is the job that deletes by the rules of a feed or, with dryRun, tells what
// would go.
func Job(f *proget.Feed, dryRun bool, by string) db.NewJob {
	j := db.NewJob{Kind: Kind, Argument: f.Name, Lane: Lane, RunKey: fmt.Sprint(Kind, " ", f.ID), QueuedBy: by}
	if dryRun {
		j.Argument, j.RunKey = j.Argument+preview, j.RunKey+preview
	}
	return j
}

// page is how many packages are looked at by one statement. Each may have
// thousands of versions.
const page = 20

// A Worker deletes by the rules of feeds. It implements [indexing.Worker].
type Worker struct {
	db        *db.Store
	types     []feed.Type
	publisher *publish.Publisher
	log       *slog.Logger
}

// NewWorker returns a Worker for feeds of the given types. log may be nil:
// slog.Default().
func NewWorker(store *db.Store, types []feed.Type, publisher *publish.Publisher, log *slog.Logger) *Worker {
	return &Worker{store, types, publisher, cmp.Or(log, slog.Default())}
}

// Kind implements [indexing.Worker].
func (*Worker) Kind() string { return Kind }

// Work implements [indexing.Worker].
func (w *Worker) Work(ctx context.Context, j *proget.Job, p *indexing.Progress) error {
	rules, err := w.db.ListRetentionRules(ctx)
	if err != nil {
		return err
	}
	feeds, err := w.db.ListFeeds(ctx)
	if err != nil {
		return err
	}
	if j.Argument == "" {
		return w.dispatch(ctx, feeds, rules, p)
	}
	name, dry := strings.CutSuffix(j.Argument, preview)
	i := slices.IndexFunc(feeds, func(f *proget.Feed) bool { return strings.EqualFold(f.Name, name) })
	if i < 0 {
		return indexing.Cancel(fmt.Errorf("there is no feed %s any more", name))
	}
	t := slices.IndexFunc(w.types, func(t feed.Type) bool { return t.Name == feeds[i].Type })
	if t < 0 {
		return indexing.Cancel(fmt.Errorf("this server does not serve feeds of type %s", feeds[i].Type))
	}
	now, err := w.db.Clock(ctx)
	if err != nil {
		return err
	}
	r := &run{Worker: w, job: j, feed: feeds[i], typ: &w.types[t], dry: dry, progress: p,
		chooser: Chooser{Rules: rules[feeds[i].ID], Now: now}}
	return r.work(ctx)
}

// dispatch queues a job for each feed that has rules. An inactive feed is kept as
// it is.
func (w *Worker) dispatch(ctx context.Context, feeds []*proget.Feed, rules map[int64][]proget.RetentionRule, p *indexing.Progress) error {
	var queued int64
	for _, f := range feeds {
		if !f.Active || len(rules[f.ID]) == 0 {
			continue
		}
		err := w.db.Tx(ctx, func(tx *db.Tx) error { return tx.EnqueueOnce(ctx, Job(f, false, Actor)) })
		if err != nil {
			return err
		}
		queued++
		p.Log("A job for the feed %s is queued.", f.Name)
	}
	p.Set(queued, queued, fmt.Sprintf("%s with rules", quantity.Of(queued, "feed")))
	return nil
}

// run is one run over a feed.
type run struct {
	*Worker
	job      *proget.Job
	feed     *proget.Feed
	chooser  Chooser
	typ      *feed.Type
	dry      bool
	progress *indexing.Progress

	packages, total int64 // looked at, and to be looked at
	gone, bytes     int64 // versions, and what they took
}

func (r *run) work(ctx context.Context) error {
	for i := range r.chooser.Rules {
		r.progress.Log("Rule %d: %s.", i+1, &r.chooser.Rules[i])
	}
	stats, err := r.db.ListFeedStats(ctx)
	if err != nil {
		return err
	}
	r.total = stats[r.feed.ID].Packages
	always := func() bool { return true }
	if err := r.sweep(ctx, always, r.chooser.Package); err != nil {
		return err
	}
	for rank := range ranks {
		if !r.chooser.Excess() {
			break
		}
		r.total += stats[r.feed.ID].Packages
		err := r.sweep(ctx, r.chooser.Excess, func(versions []Candidate) []Choice { return r.chooser.Over(rank, versions) })
		if err != nil {
			return err
		}
	}
	r.progress.Set(r.packages, r.packages, r.said())
	r.log.InfoContext(ctx, "retention rules were applied", "feed", r.feed.Name, "dry", r.dry, "versions", r.gone, "bytes", r.bytes)
	return nil
}

// sweep shows choose the packages of the feed, for as long as there is more to be
// done, and deletes what it chose.
func (r *run) sweep(ctx context.Context, more func() bool, choose func([]Candidate) []Choice) error {
	for after := ""; more(); {
		keys, err := r.db.ListPackageKeys(ctx, r.feed.ID, after, page)
		if err != nil || len(keys) == 0 {
			return err
		}
		upto := keys[len(keys)-1]
		uses, err := r.db.ListVersionUse(ctx, r.feed.ID, after, upto)
		if err != nil {
			return err
		}
		after = upto
		for _, uses := range byPackage(uses) {
			pkg, err := r.describe(ctx, uses)
			if err != nil {
				return err
			}
			for _, c := range choose(pkg) {
				if err := r.remove(ctx, c); err != nil {
					return fmt.Errorf("delete %s %s: %w", c.Name, c.Version, err)
				}
			}
			r.packages++
		}
		r.progress.Set(r.packages, max(r.total, r.packages), r.said())
	}
	return nil
}

// byPackage takes a page apart.
func byPackage(uses []db.VersionUse) (packages [][]db.VersionUse) {
	for len(uses) > 0 {
		n := slices.IndexFunc(uses, func(u db.VersionUse) bool { return u.PackageKey != uses[0].PackageKey })
		if n < 0 {
			n = len(uses)
		}
		packages, uses = append(packages, uses[:n]), uses[n:]
	}
	return packages
}

// describe adds what the feed's type says of the versions of a package, and puts
// them into its order. Of what is no package there are none.
func (r *run) describe(ctx context.Context, uses []db.VersionUse) ([]Candidate, error) {
	if r.typ.Folder != nil && r.typ.Folder(uses[0].PackageKey) {
		return nil, nil
	}
	needs, err := r.needs(ctx, uses[0].PackageKey)
	if err != nil {
		return nil, err
	}
	versions := make([]Candidate, len(uses))
	for i, u := range uses {
		v := Candidate{VersionUse: u, Names: []string{u.Version}, Needs: needs[u.Key]}
		if len(u.Tags) > 0 && r.typ.TagsName {
			v.Names = u.Tags
		} else {
			v.Pinned = len(u.Tags) > 0
		}
		versions[i] = v
	}
	slices.SortStableFunc(versions, func(a, b Candidate) int { return r.typ.CompareVersions(a.Key, b.Key) })
	return versions, nil
}

func (r *run) needs(ctx context.Context, packageKey string) (map[string][]string, error) {
	if r.typ.Needs == nil {
		return nil, nil
	}
	p, err := r.db.LoadPackage(ctx, r.feed.ID, packageKey)
	if errors.Is(err, proget.ErrNotFound) { // meanwhile: there is nothing to delete
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.typ.Needs(p.Versions), nil
}

// remove deletes a version, unless another has taken its place meanwhile, or the
// job is not this worker's any more.
func (r *run) remove(ctx context.Context, c Choice) error {
	if !r.dry {
		ref := feed.Ref{Feed: r.feed, NameKey: c.PackageKey, VersionKey: c.Key}
		err := r.publisher.DeleteIf(ctx, ref, proget.Principal{User: Actor}, func(tx *db.Tx, v db.VersionRow) error {
			if v.ID != c.ID {
				return proget.Errorf(proget.ErrNotFound, "the version was published anew")
			}
			return tx.HoldJob(ctx, r.job)
		})
		if errors.Is(err, proget.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.gone++
	r.bytes += c.Bytes
	did := "Deleted"
	if r.dry {
		did = "Would delete"
	}
	r.progress.Log("%s %s %s (%s), published %s, downloaded %s: rule %d.",
		did, c.Name, c.Version, quantity.Bytes(c.Bytes), c.Published.UTC().Format(time.DateOnly), quantity.Of(c.Downloads, "time"), c.Rule)
	return nil
}

func (r *run) said() string {
	if r.dry {
		return fmt.Sprintf("Would delete %s (%s)", quantity.Of(r.gone, "version"), quantity.Bytes(r.bytes))
	}
	return fmt.Sprintf("%s (%s) deleted", quantity.Of(r.gone, "version"), quantity.Bytes(r.bytes))
}
