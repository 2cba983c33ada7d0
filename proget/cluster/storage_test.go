package cluster_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/faulty"
	"github.com/proget-go/ha/storage/share"
)

// failing opens the world's storage so that it can be made to fail.
func (w *world) failing(t *testing.T) (*faulty.Bucket, *storage.Store) {
	t.Helper()
	bucket, err := share.OpenBucket(w.folder)
	require.NoError(t, err)
	faults := faulty.New(bucket)
	store := storage.New(blob.NewBucket(faults), nil)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return faults, store
}

func always(err error, ops ...faulty.Op) (faults []faulty.Fault) {
	for _, op := range ops {
		faults = append(faults, faulty.Fault{Op: op, Times: -1, Err: err})
	}
	return faults
}

// patient is a server that calls nothing slow.
func patient(o *cluster.Options) { o.Slow = time.Minute }

// TestStorageStates: what is wrong with storage for all servers is told in a
// sentence and takes none of them out; when it is over, so is the warning.
func TestStorageStates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []faulty.Fault
		says   string
	}{
		"full":            {always(faulty.ErrNoSpace, faulty.Write), "Storage is full"},
		"full at close":   {always(faulty.ErrNoSpace, faulty.Close), "Storage is full"},
		"read-only":       {always(faulty.ErrReadOnly, faulty.Create), "Storage is read-only"},
		"not permitted":   {always(faulty.ErrDenied, faulty.Create), "Storage is read-only"},
		"gone":            {always(faulty.ErrIO, faulty.Ops...), "Storage cannot be reached"},
		"stale":           {always(faulty.ErrStale, faulty.Ops...), "Storage cannot be reached"},
		"forgets":         {[]faulty.Fault{{Op: faulty.Close, Times: -1, Effect: faulty.Vanish}}, "does not keep"},
		"keeps only half": {[]faulty.Fault{{Op: faulty.Close, Times: -1, Effect: faulty.Tear}}, "does not keep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			faults, store := w.failing(t)
			r := w.serverOn(t, store, "a", patient)
			require.Empty(t, r.Warnings())
			probe := member(t, r, "a").Probe

			faults.Inject(c.faults...)
			require.NoError(t, r.Check(t.Context()))
			require.Empty(t, r.Problems(), "the others are no better off")
			require.Len(t, r.Warnings(), 1)
			require.Contains(t, r.Warnings()[0], c.says)
			require.NotContains(t, r.Warnings()[0], "/")
			m := member(t, r, "a")
			require.Equal(t, r.Warnings()[0], m.Storage, "the page shows it")
			require.False(t, m.Foreign)
			require.Equal(t, probe, m.Probe, "what the others look for is still there")

			faults.Clear()
			require.NoError(t, r.Check(t.Context()))
			require.Empty(t, r.Warnings())
			require.Empty(t, member(t, r, "a").Storage)
		})
	}
}

// TestSlowStorage: storage that answers late is called slow, and is well again
// after a look that was quick.
func TestSlowStorage(t *testing.T) {
	t.Parallel()
	const slow = 5 * time.Second
	w := newWorld(t)
	faults, store := w.failing(t)
	r := w.serverOn(t, store, "a", func(o *cluster.Options) { o.Slow = slow })
	faults.Inject(faulty.Fault{Op: faulty.Open, Delay: slow})
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Problems())
	require.Len(t, r.Warnings(), 1)
	require.Contains(t, r.Warnings()[0], "Storage is slow: a check of it takes longer than 5s")
	faults.Clear()
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Warnings())
}

// TestHangingStorage: storage that does not answer at all does not hold the
// heartbeat up, is called slow, and is not asked again meanwhile.
func TestHangingStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	faults, store := w.failing(t)
	r := w.serverOn(t, store, "a", func(o *cluster.Options) { o.Slow = 2 * time.Second })
	answers := make(chan struct{})
	faults.Inject(faulty.Fault{Op: faulty.Open, Times: -1, Wait: answers})
	for range 2 {
		require.NoError(t, r.Check(t.Context()))
		require.Empty(t, r.Problems())
		require.Len(t, r.Warnings(), 1)
		require.Contains(t, r.Warnings()[0], "Storage is slow")
		require.Equal(t, 1, faults.Fired(), "one look at a time")
	}
	faults.Clear()
	close(answers)
	require.Eventually(t, func() bool { return r.Check(t.Context()) == nil && len(r.Warnings()) == 0 }, waitLong, waitShort)
}

// TestStorageNeverSeen: a server that could not yet see that its storage is the
// cluster's stays out; the one beside it, which could, goes on.
func TestStorageNeverSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	faults, store := w.failing(t)
	old := w.serverOn(t, store, "old", patient)
	faults.Inject(always(faulty.ErrIO, faulty.Ops...)...)
	fresh := w.serverOn(t, store, "fresh", patient)
	require.NoError(t, old.Check(t.Context()))
	require.Empty(t, old.Problems())
	require.Len(t, fresh.Problems(), 1)
	require.Contains(t, fresh.Problems()[0], "not yet known")
	require.Empty(t, fresh.Warnings())
	require.True(t, member(t, old, "fresh").Foreign)
	faults.Clear()
	require.NoError(t, fresh.Check(t.Context()))
	require.Empty(t, fresh.Problems())
}

// TestFirstServerOnFullStorage: nobody can say whose storage it is.
func TestFirstServerOnFullStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	faults, store := w.failing(t)
	faults.Inject(always(faulty.ErrNoSpace, faulty.Write)...)
	r := w.serverOn(t, store, "a", patient)
	require.Len(t, r.Problems(), 1)
	require.Contains(t, r.Problems()[0], "Storage is full")
}

// TestStartOnFullStorage: that storage is the cluster's is found by reading.
func TestStartOnFullStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = w.server(t, "a")
	faults, store := w.failing(t)
	faults.Inject(always(faulty.ErrNoSpace, faulty.Write)...)
	r := w.serverOn(t, store, "b", patient)
	require.Empty(t, r.Problems())
	require.Len(t, r.Warnings(), 1)
}

// TestForeignStorageFails: another storage stays another, also if it is full or
// goes away.
func TestForeignStorageFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = w.server(t, "a")
	faults, store := newWorld(t).failing(t)
	faults.Inject(always(faulty.ErrNoSpace, faulty.Write)...)
	r := w.serverOn(t, store, "foreign", patient)
	require.Len(t, r.Problems(), 1)
	require.Contains(t, r.Problems()[0], "not the cluster's")
	faults.Inject(always(faulty.ErrIO, faulty.Ops...)...)
	require.NoError(t, r.Check(t.Context()))
	require.Len(t, r.Problems(), 1)
}

// TestUnmounted: a share that went away and left an empty folder behind is no
// place for packages.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "a", patient)
	away := w.folder + ".away"
	require.NoError(t, os.Rename(w.folder, away))
	require.NoError(t, os.Mkdir(w.folder, 0o700))
	require.NoError(t, r.Check(t.Context()))
	require.Len(t, r.Problems(), 1)
	require.Contains(t, r.Problems()[0], "not mounted")
	require.NoError(t, os.Remove(w.folder))
	require.NoError(t, r.Check(t.Context()))
	require.Len(t, r.Problems(), 1, "not until the cluster's own is back")
	require.Contains(t, r.Problems()[0], "not yet known")
	require.NoError(t, os.Rename(away, w.folder))
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Problems())
}

// TestAddedStorage: a storage that was added must be the same place for every
// server; one that is gone is a warning.
func TestAddedStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder, other := filepath.Join(t.TempDir(), "archive"), filepath.Join(t.TempDir(), "other")
	at := func(path *string) func(o *cluster.Options) {
		return func(o *cluster.Options) {
			o.Slow = time.Minute
			o.Stores = storage.NewSet(w.blobs, func(context.Context, int64) (string, error) {
				return urlOf(*path), nil
			})
			t.Cleanup(func() { require.NoError(t, o.Stores.Close()) })
		}
	}
	a := w.serverOn(t, w.blobs, "a", at(&folder))
	st, err := a.AddStorage(t.Context(), " Archive ", urlOf(folder), proget.Principal{User: "ann"})
	require.NoError(t, err)
	require.Equal(t, "Archive", st.Name)
	require.NoError(t, a.Check(t.Context()))
	require.Empty(t, append(a.Problems(), a.Warnings()...))
	require.NoError(t, os.Mkdir(other, 0o700)) // where nothing is mounted
	b := w.serverOn(t, w.blobs, "b", at(&other))
	require.Len(t, b.Problems(), 1)
	require.Contains(t, b.Problems()[0], "Storage Archive of this server is not the cluster's")
	known, err := a.Probes(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(known), 3, "the cluster's, the storage's and the servers' own")

	require.NoError(t, os.RemoveAll(folder))
	require.NoError(t, os.WriteFile(folder, nil, 0o600)) // no folder can be made of it
	require.NoError(t, a.Check(t.Context()))
	require.Empty(t, a.Problems())
	require.Len(t, a.Warnings(), 1)
	require.Contains(t, a.Warnings()[0], "Archive: Storage cannot be reached")
}

// TestRefusedStorage: one that was refused for certain is not marked, and can be
// added under another name.
func TestRefusedStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "a")
	by, folder := proget.Principal{User: "ann"}, t.TempDir()
	add := func(name, sub string) error {
		_, err := r.AddStorage(t.Context(), name, urlOf(filepath.Join(folder, sub)), by)
		return err
	}
	require.NoError(t, add("Archive", "one"))
	require.ErrorIs(t, add("archive", "two"), proget.ErrConflict)
	require.NoError(t, add("Other", "two"))
	require.ErrorIs(t, r.RemoveStorage(t.Context(), "none", by), proget.ErrNotFound)
	require.ErrorIs(t, r.RemoveStorage(t.Context(), "default", by), proget.ErrConflict)
	require.NoError(t, r.RemoveStorage(t.Context(), "OTHER", by))
	require.NoError(t, add("Again", "two"), "its mark is gone")
	require.NoError(t, os.RemoveAll(filepath.Join(folder, "two")))
	require.NoError(t, r.RemoveStorage(t.Context(), "Again", by), "be it lost")
	require.NoDirExists(t, filepath.Join(folder, "two"), "nor made again")
	foreign := newWorldIn(t, t.TempDir())
	foreign.folder = filepath.Join(folder, "foreign")
	foreign.serverOn(t, foreign.storage(t), "x")
	require.ErrorIs(t, add("Third", "foreign"), proget.ErrInvalid, "it is in use")
}

// TestNestedStorages: storages that lie one inside the other are refused before
// anything is made there, and a server whose storage is moved to such a place
// stays out.
func TestNestedStorages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.server(t, "a", w.withStores(t))
	folder := filepath.Join(t.TempDir(), "archive")
	add := func(path string) error {
		_, err := a.AddStorage(t.Context(), "at "+path, urlOf(path), proget.Principal{User: "ann"})
		return err
	}
	require.NoError(t, add(folder))
	for _, path := range []string{
		w.folder, filepath.Join(w.folder, "blobs", "archive"), filepath.Dir(w.folder),
		folder, filepath.Join(folder, "inner"), filepath.Dir(folder),
	} {
		err := add(path)
		require.ErrorIs(t, err, proget.ErrInvalid, path)
		require.Contains(t, proget.Message(err), "Choose another folder")
	}
	require.NoDirExists(t, filepath.Join(w.folder, "blobs", "archive"))
	require.NoError(t, add(folder+"-2"), "a neighbour")

	moved := filepath.Join(folder, "blobs", "packages")
	require.NoError(t, os.MkdirAll(filepath.Dir(moved), 0o700))
	require.NoError(t, os.CopyFS(moved, os.DirFS(w.folder)))
	w.folder = moved
	b := w.serverOn(t, w.storage(t), "b", w.withStores(t))
	require.Len(t, b.Problems(), 1)
	require.Contains(t, b.Problems()[0], "are the same, or one is inside the other")
}
