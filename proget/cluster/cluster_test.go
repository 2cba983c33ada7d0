package cluster_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/storage"
)

const (
	waitLong  = 30 * time.Second
	waitShort = 20 * time.Millisecond
)

var dark = slog.New(slog.DiscardHandler)

// world is what the servers of a cluster share.
type world struct {
	path   string
	db     *db.Store
	blobs  *storage.Store
	folder string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir())
}

// newWorldIn has its database in a folder.
func newWorldIn(t *testing.T, folder string) *world {
	t.Helper()
	w := &world{path: filepath.Join(folder, "test.db"), folder: filepath.Join(t.TempDir(), "packages")}
	var err error
	w.db, err = sqlite.Open(t.Context(), w.path, &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.db.Close()) })
	w.blobs = w.storage(t)
	return w
}

func (w *world) storage(t *testing.T) *storage.Store {
	t.Helper()
	s, err := storage.OpenFolder(w.folder, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// objects counts what is in storage.
func (w *world) objects(t *testing.T) (n int) {
	t.Helper()
	for _, err := range w.blobs.List(t.Context(), "") {
		require.NoError(t, err)
		n++
	}
	return n
}

// server is a registry that has announced itself once.
func (w *world) server(t *testing.T, name string, change ...func(*cluster.Options)) *cluster.Registry {
	t.Helper()
	return w.serverOn(t, w.blobs, name, change...)
}

func (w *world) serverOn(t *testing.T, blobs *storage.Store, name string, change ...func(*cluster.Options)) *cluster.Registry {
	t.Helper()
	o := cluster.Options{Name: name, Roles: []string{cluster.RoleWeb}, Fingerprints: []string{"key-1"}, Version: "1.2.3", OS: "linux/amd64",
		Address: "http://" + name, Logger: dark}
	for _, c := range change {
		c(&o)
	}
	r := cluster.New(w.db, blobs, o)
	require.NotEmpty(t, r.Problems(), "nothing is known before the first check")
	require.NoError(t, r.Check(t.Context()))
	return r
}

func withKeys(keys ...string) func(*cluster.Options) {
	return func(o *cluster.Options) { o.Fingerprints = keys }
}

func member(t *testing.T, r *cluster.Registry, name string) *cluster.Member {
	t.Helper()
	all, err := r.Members(t.Context())
	require.NoError(t, err)
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

func TestServersKnowEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.server(t, "a", func(o *cluster.Options) {
		o.Roles = []string{cluster.RoleWeb, cluster.RoleIndex}
		o.State = func() cluster.State { return cluster.State{IndexLag: 7, Ready: true} }
	})
	b := w.server(t, "b")
	require.Empty(t, a.Problems())
	require.Empty(t, b.Problems())
	m := member(t, b, "a")
	require.NotNil(t, m)
	require.True(t, m.Alive())
	require.True(t, m.Has("index"))
	require.False(t, m.Has("cook"))
	require.False(t, m.Primary)
	require.False(t, m.Skewed())
	require.True(t, m.Ready)
	require.EqualValues(t, 7, m.IndexLag)
	require.Equal(t, "1.2.3", m.Version)
	require.Equal(t, "http://a", m.Address)
}

// TestPrimary: of several servers that say they lead, the one with the newest
// term does, unless it is silent.
func TestPrimary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leads := func(term int64) func(*cluster.Options) {
		return func(o *cluster.Options) { o.State = func() cluster.State { return cluster.State{Term: term} } }
	}
	former, present, backup := w.server(t, "former", leads(3)), w.server(t, "present", leads(4)), w.server(t, "backup", leads(0))
	require.False(t, member(t, backup, "former").Primary)
	require.True(t, member(t, former, "present").Primary)
	require.False(t, member(t, present, "backup").Primary)
	age(t, w, "present")
	require.False(t, member(t, former, "present").Primary)
	require.True(t, member(t, backup, "former").Primary)
}

// TestLeaderless: that nobody leads is told when it has lasted, and only as long.
func TestLeaderless(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var term atomic.Int64
	r := w.server(t, "web", func(o *cluster.Options) { o.State = func() cluster.State { return cluster.State{Term: term.Load()} } })
	require.Empty(t, r.Warnings(), "another may be elected just now")
	require.Eventually(t, func() bool {
		require.NoError(t, r.Check(t.Context()))
		return len(r.Warnings()) > 0
	}, waitLong, waitShort)
	require.Contains(t, r.Warnings()[0], "No indexing node is the primary")
	require.Empty(t, r.Problems(), "it serves all the same")
	term.Store(1)
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Warnings())
}

// TestHurry: a heartbeat need not wait for its time.
func TestHurry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var term atomic.Int64
	r := w.server(t, "a", func(o *cluster.Options) {
		o.State = func() cluster.State { return cluster.State{Term: term.Load()} }
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	began := time.Now()
	for n := int64(1); n <= 20; n++ {
		term.Store(n)
		r.Hurry()
		require.Eventually(t, func() bool { return member(t, r, "a").Term == n }, time.Minute, time.Millisecond)
	}
	require.Less(t, time.Since(began), 20*cluster.Beat)
}

// TestSilentServer: who stops is seen to be stale, and can be removed then and
// only then; who goes on is back with the next heartbeat.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.server(t, "watcher")
	silent := w.server(t, "silent")
	require.ErrorIs(t, watcher.Remove(t.Context(), "silent", proget.Principal{User: "ann"}), proget.ErrConflict, "it lives")
	age(t, w, "silent")
	require.False(t, member(t, watcher, "silent").Alive())
	require.True(t, member(t, watcher, "watcher").Alive())
	require.NoError(t, watcher.Remove(t.Context(), "silent", proget.Principal{User: "ann"}))
	require.Nil(t, member(t, watcher, "silent"))
	require.NoError(t, silent.Check(t.Context()))
	require.True(t, member(t, watcher, "silent").Alive())
}

// TestStaleServers: who was silent for too long is removed, with what it left in
// storage, and named.
func TestStaleServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "a")
	_, _ = w.server(t, "gone"), w.server(t, "silent")
	age(t, w, "gone")
	age(t, w, "gone")
	age(t, w, "silent")
	require.NoError(t, w.db.Tx(t.Context(), func(tx *db.Tx) error {
		return tx.Enqueue(t.Context(), db.NewJob{Kind: cluster.KindStale})
	}))
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	pool, err := indexing.NewPool(w.db, "a", &indexing.PoolOptions{Poll: time.Millisecond}, r.StaleServers(90*time.Second))
	require.NoError(t, err)
	working.Go(func() { _ = pool.Run(ctx) })
	defer working.Wait()
	defer stop()
	require.Eventually(t, func() bool {
		j, err := w.db.LastJob(ctx, cluster.KindStale, "")
		require.NoError(t, err)
		return j.State == proget.JobDone && j.Message == "1 stale server removed"
	}, time.Minute, time.Millisecond)
	log, err := w.db.JobLog(ctx, 1)
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(log), "The server gone was removed: it sent its last heartbeat 2m0s ago.")
	require.Nil(t, member(t, r, "gone"))
	require.False(t, member(t, r, "silent").Alive())
	require.Equal(t, 3, w.objects(t), "the cluster's, and those of the two that are left")
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = w.server(t, "first", withKeys("key-1"))
	stranger := w.server(t, "stranger", withKeys("key-2"))
	require.Len(t, stranger.Problems(), 1)
	require.Contains(t, stranger.Problems()[0], "give every server the same key (in the reference server with PROGET_ENCRYPTION_KEY)")
	require.NotEmpty(t, member(t, stranger, "stranger").Key, "the others see it, too")
}

// TestKeyRotation: a new key is the cluster's as soon as all have it and put it
// first; then the old one may go.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := w.server(t, "slow", withKeys("old"))
	_ = w.server(t, "quick", withKeys("old"))
	quick := w.server(t, "quick", withKeys("new", "old"))
	require.Empty(t, quick.Problems())
	require.NoError(t, slow.Check(t.Context()))
	require.Empty(t, slow.Problems(), "the cluster's key is still the old one")
	slow = w.server(t, "slow", withKeys("old", "new"))
	require.Empty(t, slow.Problems())
	slow = w.server(t, "slow", withKeys("new", "old"))
	require.NoError(t, quick.Check(t.Context()))
	require.Empty(t, slow.Problems())
	last := w.server(t, "last", withKeys("new"))
	require.Empty(t, last.Problems(), "the new key is the cluster's now")
	late := w.server(t, "late", withKeys("old"))
	require.NotEmpty(t, late.Problems())
}

func TestForeignStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = w.server(t, "a")
	same := w.serverOn(t, w.storage(t), "same")
	require.Empty(t, same.Problems(), "the folder counts, not who opened it")
	foreign := w.serverOn(t, newWorld(t).blobs, "foreign")
	require.Len(t, foreign.Problems(), 1)
	require.Contains(t, foreign.Problems()[0], "not the cluster's")
	require.NotEmpty(t, member(t, same, "foreign").Storage)
}

// TestStorageOfAnother: a new database on a storage that another was used with is
// warned of, and not of what a server left that starts at the same time.
func TestStorageOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = w.server(t, "a")
	start := func() string {
		var log bytes.Buffer
		anew := newWorld(t)
		r := anew.serverOn(t, w.storage(t), "a", func(o *cluster.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		require.Empty(t, r.Problems())
		return log.String()
	}
	require.Empty(t, start())
	marks, err := filepath.Glob(filepath.Join(w.folder, "probes", "node-cluster", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, marks)
	require.NoError(t, os.Chtimes(marks[0], time.Time{}, time.Now().Add(-time.Hour)))
	require.Contains(t, start(), "the database is new")
}

// TestWellAgain: that all is well again is no warning.
func TestWellAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log bytes.Buffer
	r := w.server(t, "a", func(o *cluster.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	require.NoError(t, os.Rename(w.folder, w.folder+".away"))
	require.NoError(t, r.Check(t.Context()))
	require.Contains(t, log.String(), `level=WARN msg="the server's checks have changed"`)
	log.Reset()
	require.NoError(t, os.Rename(w.folder+".away", w.folder))
	require.NoError(t, r.Check(t.Context()))
	require.Contains(t, log.String(), `level=INFO msg="the server's checks have changed"`)
	require.NotContains(t, log.String(), "WARN")
}

// TestStorageGoesAway: a server whose storage fails says so at its next look,
// shows no path, and is well again with its storage.
func TestStorageGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "a")
	away := w.folder + ".away"
	require.NoError(t, os.Rename(w.folder, away))
	require.NoError(t, r.Check(t.Context()), "the heartbeat is written nevertheless")
	require.Empty(t, r.Problems(), "the other servers are no better off")
	require.Len(t, r.Warnings(), 1)
	require.Contains(t, r.Warnings()[0], "Storage cannot be reached")
	require.NotContains(t, r.Warnings()[0], w.folder)
	require.NoError(t, os.Rename(away, w.folder))
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Problems())
	require.Empty(t, r.Warnings())
}

func TestModes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.server(t, "a"), w.server(t, "b")
	modes := func() cluster.Modes {
		m, err := b.Modes(t.Context())
		require.NoError(t, err)
		return m
	}
	require.Equal(t, cluster.Modes{}, modes())
	by := proget.Principal{User: "Admin"}
	require.NoError(t, a.SetMode(t.Context(), cluster.LoadBalancing, true, by))
	require.NoError(t, a.SetMode(t.Context(), cluster.HighAvailability, true, by))
	require.Equal(t, cluster.Modes{LoadBalancing: true, HighAvailability: true}, modes())
	require.NoError(t, a.SetMode(t.Context(), cluster.HighAvailability, false, by))
	require.Equal(t, cluster.Modes{LoadBalancing: true}, modes())
}

// TestStoragesMeet: of two servers with different storage that start at once,
// one is told that it does not belong.
func TestStoragesMeet(t *testing.T) {
	t.Parallel()
	for range 10 {
		w := newWorld(t)
		other := newWorld(t).blobs
		servers := make([]*cluster.Registry, 2)
		var both sync.WaitGroup
		for i, blobs := range []*storage.Store{w.blobs, other} {
			both.Go(func() { servers[i] = w.serverOn(t, blobs, string(rune('a'+i))) })
		}
		both.Wait()
		require.Len(t, append(servers[0].Problems(), servers[1].Problems()...), 1)
	}
}

// TestProbesDoNotPileUp: a server that starts again finds what it left, and what
// a removed one left goes with it.
func TestProbesDoNotPileUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		_ = w.server(t, "a")
	}
	require.Equal(t, 2, w.objects(t), "the cluster's and the server's")
	_ = w.server(t, "b")
	require.Equal(t, 3, w.objects(t))
	age(t, w, "b")
	require.NoError(t, w.server(t, "a").Remove(t.Context(), "b", proget.Principal{User: "ann"}))
	require.Equal(t, 2, w.objects(t))
}

// TestUnreadableHeartbeat: a server of another version does not take the others
// down.
func TestUnreadableHeartbeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.db.BeatNode(t.Context(), db.Node{Name: "future", Details: `{"roles":{"web":true}}`}))
	r := w.server(t, "a")
	require.Empty(t, r.Problems())
	require.Contains(t, member(t, r, "future").Storage, "another version")
}

// age makes a server's heartbeat old.
func age(t *testing.T, w *world, name string) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(10000)") // servers may be writing
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(t.Context(), "UPDATE node SET heartbeat = heartbeat - 60000000 WHERE name = ?", name)
	require.NoError(t, err)
}
