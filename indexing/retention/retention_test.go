package retention_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/retention"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

var (
	ann  = proget.Principal{User: "ann"}
	dark = slog.New(slog.DiscardHandler)
)

// An installation is a database and storage with the feed "main".
type installation struct {
	t         *testing.T
	db        *db.Store
	publisher *publish.Publisher
	worker    *retention.Worker
	feed      *proget.Feed
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{t: t, feed: &proget.Feed{Name: "main", Type: "plain", Active: true}}
	var err error
	in.db, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), &db.Options{Logger: dark})
	require.NoError(t, err)
	blobs, err := storage.Open(t.Context(), "mem:", nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, in.db.Close())
		require.NoError(t, blobs.Close())
	})
	types := []feed.Type{plain()}
	in.publisher = publish.New(in.db, storage.NewSet(blobs, nil), types, &publish.Options{Logger: dark})
	in.worker = retention.NewWorker(in.db, types, in.publisher, dark)
	in.change(func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), in.feed) })
	return in
}

func (in *installation) change(fn func(*db.Tx) error) {
	in.t.Helper()
	require.NoError(in.t, in.db.Administer(in.t.Context(), "test", fn))
}

func (in *installation) rules(rules ...proget.RetentionRule) {
	in.t.Helper()
	in.change(func(tx *db.Tx) error { return tx.SetRetentionRules(in.t.Context(), in.feed.ID, rules) })
}

// plain is a feed type whose files are "name version" and whose versions are
// ordered by their length.
func plain() feed.Type {
	same := func(s string) string { return s }
	return feed.Type{Name: "plain", NameKey: same, VersionKey: same,
		CompareVersions: func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) },
		Inspect: func(_ context.Context, f feed.File) (*feed.Manifest, error) {
			text, err := io.ReadAll(io.NewSectionReader(f, 0, min(f.Size, 100)))
			name, version, _ := strings.Cut(string(text), " ")
			version, _, _ = strings.Cut(version, " ")
			return &feed.Manifest{Name: name, Version: version, Prerelease: strings.Contains(version, "-"), FileName: "f"}, err
		}}
}

// push publishes "name version", or "name version content".
func (in *installation) push(packages ...string) {
	in.t.Helper()
	for _, p := range packages {
		_, err := in.publisher.Publish(in.t.Context(), feed.Upload{Feed: in.feed, Body: strings.NewReader(p), By: ann})
		require.NoError(in.t, err)
	}
}

// left returns what the feed holds, as "name version", in order.
func (in *installation) left() (all []string) {
	in.t.Helper()
	versions, err := in.db.ListVersionUse(in.t.Context(), in.feed.ID, "", "~")
	require.NoError(in.t, err)
	for _, v := range versions {
		all = append(all, v.Name+" "+v.Version)
	}
	return all
}

// claim claims the next job.
func (in *installation) claim() *proget.Job {
	in.t.Helper()
	j, err := in.db.ClaimJob(in.t.Context(), "w", retention.Lane, time.Minute)
	require.NoError(in.t, err)
	require.NotNil(in.t, j)
	return j
}

// run runs a job over the feed by a pool and returns it with its log.
func (in *installation) run(j db.NewJob) (proget.JobStatus, string) {
	in.t.Helper()
	ctx, stop := context.WithCancel(in.t.Context())
	defer stop()
	require.NoError(in.t, in.db.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, j) }))
	var working sync.WaitGroup
	pool, err := indexing.NewPool(in.db, "w", &indexing.PoolOptions{Lanes: map[string]int{retention.Lane: 1}, Poll: 5 * time.Millisecond, Logger: dark}, in.worker)
	require.NoError(in.t, err)
	working.Go(func() { _ = pool.Run(ctx) })
	defer working.Wait()
	defer stop()
	var s proget.JobStatus
	require.Eventually(in.t, func() (ended bool) {
		var err error
		s, err = in.db.LastJob(ctx, j.Kind, j.Argument)
		require.NoError(in.t, err)
		return !s.Live()
	}, 20*time.Second, 5*time.Millisecond)
	parts, err := in.db.JobLog(ctx, s.ID)
	require.NoError(in.t, err)
	var log []string
	for _, p := range parts {
		log = append(log, p.Lines...)
	}
	return s, strings.Join(log, "\n")
}

func TestRetention(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.push("a 1", "a 333-x", "a 22", "b 1", "b 1-beta")
	for n := range 50 { // more than a page
		in.push(fmt.Sprintf("c%02d 1", n), fmt.Sprintf("c%02d 2", n))
	}
	in.rules(proget.RetentionRule{Prereleases: true}, proget.RetentionRule{KeepNewest: 1, Names: []string{"a", "c4*"}})
	before := in.left()

	s, log := in.run(retention.Job(in.feed, true, "ann"))
	require.Equal(t, "Would delete 13 versions (68 bytes)", s.Message)
	require.Contains(t, log, "Rule 2: all but the newest 1, named a or c4*.")
	require.Contains(t, log, "Would delete a 333-x (7 bytes), published")
	require.Contains(t, log, "Would delete a 1 (3 bytes)")
	require.Contains(t, log, "downloaded 0 times: rule 2.")
	require.Equal(t, before, in.left(), "it only tells")

	s, log = in.run(retention.Job(in.feed, false, "ann"))
	require.Equal(t, proget.JobDone, s.State, s.Message)
	require.Equal(t, "13 versions (68 bytes) deleted", s.Message)
	require.Equal(t, s.Done, s.Total)
	require.Contains(t, log, "Deleted c49 1 (5 bytes)")
	require.NotContains(t, log, "c39")
	left := in.left()
	require.Len(t, left, len(before)-13)
	require.Equal(t, []string{"a 22", "b 1", "c00 1", "c00 2"}, left[:4])

	deleted, err := in.db.ListDeleted(t.Context(), in.feed.ID, 0, 100)
	require.NoError(t, err)
	require.Len(t, deleted, 13, "each can be brought back")
	require.Equal(t, retention.Actor, deleted[0].By)
	head := int64(5 + 100 + 13)
	entries, err := in.db.LogAfter(t.Context(), in.feed.ID, head-13, 100)
	require.NoError(t, err)
	require.Len(t, entries, 13)
	require.Equal(t, retention.Actor, entries[0].Actor)
	require.Equal(t, proget.VersionDeleted, entries[0].Change)

	s, _ = in.run(retention.Job(in.feed, false, "ann"))
	require.Equal(t, "0 versions (0 bytes) deleted", s.Message)
}

// TestQuota: a feed that is too large is made small enough, and no smaller.
func TestQuota(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	large := " " + strings.Repeat("x", 1000)
	in.push("a 1"+large, "a 2"+large, "b 1"+large, "b 2-x"+large, "c 1"+large, "c 2"+large)
	in.rules(proget.RetentionRule{QuotaKB: 4})
	s, _ := in.run(retention.Job(in.feed, true, "ann"))
	require.Equal(t, "Would delete 2 versions (2 KiB)", s.Message)
	s, log := in.run(retention.Job(in.feed, false, "ann"))
	require.Equal(t, "2 versions (2 KiB) deleted", s.Message)
	require.Contains(t, log, "Deleted b 2-x")
	require.Equal(t, []string{"a 2", "b 1", "c 1", "c 2"}, in.left())
}

// TestTypes: what a feed's type says of tags, of what belongs together and of folders.
func TestTypes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typ  func(*feed.Type)
		left []string
	}{
		"tagged stays":     {func(*feed.Type) {}, []string{"a 1", "a 333", "d/ 22"}},
		"known by tags":    {func(typ *feed.Type) { typ.TagsName = true }, []string{"a 333", "d/ 22"}},
		"needed":           {func(typ *feed.Type) { typ.Needs = needing("333", "22") }, []string{"a 1", "a 22", "a 333", "d/ 22"}},
		"folders are kept": {func(typ *feed.Type) { typ.Folder = func(key string) bool { return strings.HasSuffix(key, "/") } }, []string{"a 1", "a 333", "d/ 1", "d/ 22"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t)
			in.push("a 1", "a 22", "a 333", "d/ 1", "d/ 22")
			for _, tag := range []string{"old", "older"} {
				require.NoError(t, in.publisher.Tag(t.Context(), feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}, tag, ann))
			}
			in.rules(proget.RetentionRule{KeepNewest: 1})
			types := []feed.Type{plain()}
			c.typ(&types[0])
			require.NoError(t, in.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), retention.Job(in.feed, false, "ann")) }))
			worker := retention.NewWorker(in.db, types, in.publisher, dark)
			require.NoError(t, worker.Work(t.Context(), in.claim(), new(indexing.Progress)))
			require.Equal(t, c.left, in.left())
		})
	}
}

// needing says that a version needs another.
func needing(version, other string) func([]*proget.Version) map[string][]string {
	return func([]*proget.Version) map[string][]string { return map[string][]string{version: {other}} }
}

// TestDispatch: the schedule's job queues one for each active feed with rules,
// once.
func TestDispatch(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.rules(proget.RetentionRule{Prereleases: true})
	for name, active := range map[string]bool{"without": true, "idle": false} {
		f := &proget.Feed{Name: name, Type: "plain", Active: active}
		in.change(func(tx *db.Tx) error {
			if err := tx.CreateFeed(t.Context(), f); err != nil || active {
				return err
			}
			return tx.SetRetentionRules(t.Context(), f.ID, []proget.RetentionRule{{Prereleases: true}})
		})
	}
	for range 2 {
		p := new(indexing.Progress)
		require.NoError(t, in.worker.Work(t.Context(), &proget.Job{Kind: retention.Kind}, p))
		_, _, said := p.Get()
		require.Equal(t, "1 feed with rules", said)
	}
	jobs, err := in.db.ListJobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.Equal(t, []string{retention.Job(in.feed, false, "").Argument, retention.Actor}, []string{jobs[0].Argument, jobs[0].QueuedBy})

	for _, dryRun := range []bool{false, true} {
		gone := retention.Job(&proget.Feed{ID: 99, Name: "none"}, dryRun, "").Argument
		require.ErrorContains(t, in.worker.Work(t.Context(), &proget.Job{Argument: gone}, new(indexing.Progress)), "the feed none no longer exists")
	}
	require.ErrorContains(t, in.worker.Work(t.Context(), &proget.Job{Argument: "main"}, new(indexing.Progress)), "an older server queued it")
}

// TestRenamed: a job that waits while its feed gets another name, and the name another
// feed, works on its own.
func TestRenamed(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.push("a 1", "a 22")
	in.rules(proget.RetentionRule{KeepNewest: 1})
	queued := retention.Job(in.feed, false, "ann")
	renamed, other := *in.feed, &proget.Feed{Name: in.feed.Name, Type: "plain", Active: true}
	renamed.Name = "renamed"
	in.change(func(tx *db.Tx) error { return tx.UpdateFeed(t.Context(), &renamed) })
	in.change(func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), other) })
	s, _ := in.run(queued)
	require.Equal(t, "1 version (3 bytes) deleted", s.Message)
	require.Equal(t, []string{"a 22"}, in.left())
}

// TestLostClaim: a worker that comes late deletes nothing.
func TestLostClaim(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.push("a 1-x")
	in.rules(proget.RetentionRule{Prereleases: true})
	require.NoError(t, in.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), retention.Job(in.feed, false, "ann")) }))
	late := in.claim()
	require.NoError(t, in.db.RetryJob(t.Context(), late, 0, false, ""))
	j := in.claim()
	require.ErrorIs(t, in.worker.Work(t.Context(), late, new(indexing.Progress)), proget.ErrStale)
	require.Equal(t, []string{"a 1-x"}, in.left())

	require.NoError(t, in.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.CancelJob(t.Context(), j.ID) }))
	require.ErrorIs(t, in.worker.Work(t.Context(), j, new(indexing.Progress)), proget.ErrStale)
	require.Equal(t, []string{"a 1-x"}, in.left(), "it was canceled")
}

// TestChangedMeanwhile: what happens to a package between the look at it and the
// deletion counts.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	ref := func(in *installation, version string) feed.Ref {
		return feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: version}
	}
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, in *installation)
		left      []string
	}{
		"nothing":         {func(*testing.T, *installation) {}, []string{"a 3---", "b 1"}},
		"another package": {func(t *testing.T, in *installation) { in.push("b 2") }, []string{"a 3---", "b 1", "b 2"}},
		"a tag": {func(t *testing.T, in *installation) {
			require.NoError(t, in.publisher.Tag(t.Context(), ref(in, "1-"), "latest", ann))
		}, []string{"a 1-", "a 3---", "b 1"}},
		"a version that needs one": {func(t *testing.T, in *installation) { in.push("a needs:2--") }, []string{"a 2--", "a needs:2--", "b 1"}},
		"a version is replaced": {func(t *testing.T, in *installation) {
			keep := func(*proget.Version, *feed.Manifest) error { return nil }
			_, err := in.publisher.Publish(t.Context(), feed.Upload{Feed: in.feed, Body: strings.NewReader("a 2-- new"), By: ann, Replace: keep})
			require.NoError(t, err)
		}, []string{"a 3---", "b 1"}},
		"a version is deleted": {func(t *testing.T, in *installation) {
			require.NoError(t, in.publisher.Delete(t.Context(), ref(in, "2--"), ann))
		}, []string{"a 3---", "b 1"}},
		"all are deleted": {func(t *testing.T, in *installation) {
			for _, v := range []string{"1-", "2--", "3---"} {
				require.NoError(t, in.publisher.Delete(t.Context(), ref(in, v), ann))
			}
		}, []string{"b 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t)
			in.push("a 1-", "a 2--", "a 3---", "b 1")
			in.rules(proget.RetentionRule{KeepNewest: 1, Names: []string{"a"}})
			types := []feed.Type{plain()}
			var once sync.Once
			types[0].Needs = func(versions []*proget.Version) map[string][]string {
				needs := make(map[string][]string)
				for _, v := range versions {
					if needed, ok := strings.CutPrefix(v.Key, "needs:"); ok {
						needs[v.Key] = []string{needed}
					}
				}
				once.Do(func() { c.meanwhile(t, in) }) // after the page was read
				return needs
			}
			require.NoError(t, in.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), retention.Job(in.feed, false, "ann")) }))
			worker := retention.NewWorker(in.db, types, in.publisher, dark)
			require.NoError(t, worker.Work(t.Context(), in.claim(), new(indexing.Progress)))
			require.ElementsMatch(t, c.left, in.left())
		})
	}
}

// TestUnknownType: a node that does not know the feed's type, as in the middle of an upgrade,
// leaves the run to one that does.
func TestUnknownType(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.rules(proget.RetentionRule{KeepNewest: 1})
	require.NoError(t, in.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), retention.Job(in.feed, false, "ann")) }))
	worker := retention.NewWorker(in.db, nil, in.publisher, dark)
	require.Equal(t, indexing.Snooze(time.Minute), worker.Work(t.Context(), in.claim(), new(indexing.Progress)))
}

// TestChangesAllTheTime: a package that changes whenever it is looked at is left to
// the next run.
func TestChangesAllTheTime(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.push("a 1", "a 22")
	in.rules(proget.RetentionRule{KeepNewest: 1})
	types := []feed.Type{plain()}
	types[0].Needs = func([]*proget.Version) map[string][]string {
		require.NoError(t, in.publisher.Tag(t.Context(), feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "22"}, "latest", ann))
		return nil
	}
	require.NoError(t, in.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), retention.Job(in.feed, false, "ann")) }))
	worker := retention.NewWorker(in.db, types, in.publisher, dark)
	require.NoError(t, worker.Work(t.Context(), in.claim(), new(indexing.Progress)))
	require.Equal(t, []string{"a 1", "a 22"}, in.left())
}
