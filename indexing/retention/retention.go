// Package retention deletes versions that nobody needs any longer, by the rules that
// administrators have set for their feeds.
//
// A [Chooser] only decides, from what is known of the versions. A [Worker] passes it
// the packages of a feed and deletes what it chose in the same way as a person would: a
// deleted version is kept for a while and can be restored.
package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
)

// Kind is the kind of job that deletes by the rules of a feed. Without an argument, the
// job queues one for each active feed with rules.
const Kind = "retention"

// Lane is the lane of these jobs: a large feed takes a while, and light jobs should not
// wait for it.
const Lane = "retention"

// The argument of a job for one feed is the feed's name, for people, and its id, since
// the name can pass to another feed while the job waits. preview follows in a job that
// only reports what it would delete.
const (
	beforeID = " #"
	preview  = " preview"
)

// Actor is the name under which versions are deleted in the feed's log.
const Actor = "Retention"

// Job returns the job that deletes by the rules of a feed or, with dryRun, reports what
// it would delete.
func Job(f *proget.Feed, dryRun bool, by string) db.NewJob {
	j := db.NewJob{Kind: Kind, Argument: fmt.Sprint(f.Name, beforeID, f.ID), Lane: Lane, RunKey: fmt.Sprint(Kind, " ", f.ID), QueuedBy: by}
	if dryRun {
		j.Argument, j.RunKey = j.Argument+preview, j.RunKey+preview
	}
	return j
}

// page is how many packages one statement reads. Each may have thousands of versions.
const page = 20

// A Worker deletes versions by the rules of feeds. It implements [indexing.Worker].
type Worker struct {
	db        *db.Store
	types     []feed.Type
	publisher *publish.Publisher
	log       *slog.Logger
}

// NewWorker returns a Worker for feeds of the given types. log may be nil, which means
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
	about, dry := strings.CutSuffix(j.Argument, preview)
	name, id, known := strings.Cut(about, beforeID)
	if !known {
		return indexing.GiveUp(errors.New("the job does not have the feed's id, because an older server queued it: start it again"))
	}
	i := slices.IndexFunc(feeds, func(f *proget.Feed) bool { return strconv.FormatInt(f.ID, 10) == id })
	if i < 0 {
		return indexing.GiveUp(fmt.Errorf("the feed %s no longer exists", name))
	}
	t := slices.IndexFunc(w.types, func(t feed.Type) bool { return t.Name == feeds[i].Type })
	if t < 0 {
		p.Log("This server does not serve feeds of type %s; the job waits for one that does.", feeds[i].Type)
		return indexing.Snooze(time.Minute)
	}
	now, err := w.db.Clock(ctx)
	if err != nil {
		return err
	}
	r := &run{Worker: w, job: j, feed: feeds[i], typ: &w.types[t], dry: dry, progress: p,
		chooser: Chooser{Rules: rules[feeds[i].ID], Now: now}}
	return r.work(ctx)
}

// dispatch queues a job for each active feed with rules. Inactive feeds are left
// unchanged.
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

	packages, total int64 // examined, and to be examined
	gone, bytes     int64 // deleted versions, and their bytes
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
	for l, err := range r.looks(ctx) {
		if err != nil {
			return err
		}
		kept, _, err := r.thin(ctx, l, r.chooser.Package)
		if err != nil {
			return err
		}
		r.chooser.Bytes += kept
	}
	for rank := range ranks {
		if err := r.reduce(ctx, rank, stats[r.feed.ID].Packages); err != nil {
			return err
		}
	}
	r.progress.Set(r.packages, r.packages, r.said())
	r.log.InfoContext(ctx, "retention rules were applied", "feed", r.feed.Name, "dry", r.dry, "versions", r.gone, "bytes", r.bytes)
	return nil
}

// reduce deletes versions of a rank as long as the feed's packages exceed a quota.
func (r *run) reduce(ctx context.Context, rank Rank, packages int64) error {
	if !r.chooser.Excess() {
		return nil
	}
	r.total += packages
	for l, err := range r.looks(ctx) {
		if err != nil {
			return err
		}
		_, freed, err := r.thin(ctx, l, func(versions []Candidate) []Choice { return r.chooser.Over(rank, versions) })
		if err != nil {
			return err
		}
		if r.chooser.Bytes -= freed; !r.chooser.Excess() {
			break
		}
	}
	return nil
}

// A look is a package as it was at a position of the feed's log.
type look struct {
	key   string
	uses  []db.VersionUse
	since int64
}

// looks yields the packages of the feed, one after the other.
func (r *run) looks(ctx context.Context) iter.Seq2[look, error] {
	return func(yield func(look, error) bool) {
		for after := ""; ; {
			keys, err := r.db.ListPackageKeys(ctx, r.feed.ID, after, page)
			if err == nil && len(keys) == 0 {
				return
			}
			var since int64
			var uses []db.VersionUse
			if err == nil {
				after = keys[len(keys)-1]
				uses, since, err = r.use(ctx, keys[0], after)
			}
			if err != nil {
				yield(look{}, err)
				return
			}
			for _, uses := range byPackage(uses) {
				if !yield(look{uses[0].PackageKey, uses, since}, nil) {
					return
				}
				r.packages++
			}
			r.progress.Set(r.packages, max(r.total, r.packages), r.said())
		}
	}
}

// use returns the versions of the packages with keys from one to another, and a
// position in the feed's log up to which all changes are included.
func (r *run) use(ctx context.Context, from, upto string) (uses []db.VersionUse, since int64, err error) {
	heads, err := r.db.Heads(ctx)
	if err == nil {
		uses, err = r.db.ListVersionUse(ctx, r.feed.ID, from, upto)
	}
	return uses, heads[r.feed.ID], err
}

// patience is how often a package is read again if nothing could be deleted because the
// package had changed.
const patience = 5

// thin deletes the versions of a package that choose returns, and returns how many
// bytes of the package are kept and how many were freed. If the package changes
// meanwhile, as when a tag moves or an index comes to list one of its versions, thin
// reads it again.
func (r *run) thin(ctx context.Context, l look, choose func([]Candidate) []Choice) (kept, freed int64, err error) {
	for tries := 0; ; tries++ {
		pkg, err := r.describe(ctx, l.uses)
		if err != nil {
			return 0, freed, err
		}
		choices := choose(pkg)
		kept = size(pkg)
		for len(choices) > 0 {
			c := choices[0]
			if l.since, err = r.remove(ctx, c, l.since); err != nil {
				break
			}
			choices, tries = choices[1:], 0
			kept, freed = kept-c.Bytes, freed+c.Bytes
		}
		switch {
		case !errors.Is(err, db.ErrChanged):
			return kept, freed, err
		case tries == patience:
			r.progress.Log("%s changes all the time: the rest of it is left to the next run.", l.key)
			return kept, freed, nil
		}
		if l.uses, l.since, err = r.use(ctx, l.key, l.key); err != nil || len(l.uses) == 0 {
			return 0, freed, err
		}
	}
}

// byPackage splits a page into packages.
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

// describe adds what the feed's type says about the versions of a package, and sorts
// them in the type's order. It returns none for a folder, which is no package.
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

// remove deletes a version, unless its package has changed since a position of the
// feed's log or this worker has lost its job. It returns the new position.
func (r *run) remove(ctx context.Context, c Choice, since int64) (seq int64, err error) {
	if seq = since; !r.dry {
		ref := feed.Ref{Feed: r.feed, NameKey: c.PackageKey, VersionKey: c.Key, AllowBlocked: true}
		seq, err = r.publisher.DeleteIf(ctx, ref, proget.Principal{User: Actor}, since, func(tx *db.Tx) error { return tx.HoldJob(ctx, r.job) })
		if errors.Is(err, proget.ErrNotFound) {
			err = db.ErrChanged
		}
		if err != nil {
			return since, fmt.Errorf("delete %s %s: %w", c.Name, c.Version, err)
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
	return seq, nil
}

func (r *run) said() string {
	if r.dry {
		return fmt.Sprintf("Would delete %s (%s)", quantity.Of(r.gone, "version"), quantity.Bytes(r.bytes))
	}
	return fmt.Sprintf("%s (%s) deleted", quantity.Of(r.gone, "version"), quantity.Bytes(r.bytes))
}
