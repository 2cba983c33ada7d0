package upkeep_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/faulty"
	"github.com/proget-go/ha/storage/share"
)

// loseMain has the installation reach its first storage through a bucket that refuses
// everything, until back is called.
func (in *installation) loseMain(t *testing.T) (back func()) {
	t.Helper()
	bucket, err := share.OpenBucket(in.folder)
	require.NoError(t, err)
	faults := faulty.New(bucket)
	main := storage.New(blob.NewBucket(faults), nil)
	whole := in.stores
	in.stores = storage.NewSet(main, in.urlOf)
	t.Cleanup(func() { require.NoError(t, errors.Join(whole.Close(), main.Close())) })
	for _, op := range faulty.Ops {
		faults.Inject(faulty.Fault{Op: op, Times: -1, Err: errors.New("the share is gone")})
	}
	return faults.Clear
}

// putStray stores an object in the second storage that no row names.
func (in *installation) putStray(t *testing.T, id int64) (key string) {
	t.Helper()
	blobs, err := in.stores.Store(t.Context(), id)
	require.NoError(t, err)
	b, err := blobs.Put(t.Context(), strings.NewReader("stray"), nil)
	require.NoError(t, err)
	in.age(t)
	return b.Key
}

// TestCollectWithoutOne: a storage that is away, with an object that is to be deleted,
// keeps none of the others from being freed.
func TestCollectWithoutOne(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	st := in.addStorage(t)
	in.mustPush(t, "1", "a x")
	require.NoError(t, in.delete(t.Context(), "a", "1"))
	in.putStray(t, st.ID)
	back := in.loseMain(t)
	_, err := run(t, in.collector(noGrace), "")
	require.ErrorContains(t, err, "the share is gone")
	require.ErrorContains(t, err, "delete blobs/", "the object that stayed")
	require.Empty(t, filesIn(t, in.second()))
	back()
	_, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	require.Empty(t, in.files(t))
}

// TestCollectAsksOnce: a storage that is away is not asked once for each object that is
// to be deleted, nor are the others kept waiting; one that only refuses to delete an
// object is asked for the next.
func TestCollectAsksOnce(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	const versions = 200
	for n := range versions {
		in.mustPush(t, fmt.Sprint(n), fmt.Sprintf("a %d", n))
	}
	st := in.addStorage(t)
	in.assign(t, st.ID)
	in.mustPush(t, "last", "a last")
	for n := range versions {
		require.NoError(t, in.delete(t.Context(), "a", fmt.Sprint(n)))
	}
	require.NoError(t, in.delete(t.Context(), "a", "last"))
	bucket, err := share.OpenBucket(in.folder)
	require.NoError(t, err)
	faults := faulty.New(bucket)
	main := storage.New(blob.NewBucket(faults), nil)
	whole := in.stores
	in.stores = storage.NewSet(main, in.urlOf)
	t.Cleanup(func() { require.NoError(t, errors.Join(whole.Close(), main.Close())) })

	for _, op := range faulty.Ops {
		faults.Inject(faulty.Fault{Op: op, Times: -1, Err: faulty.ErrStale})
	}
	_, err = run(t, in.collector(noGrace), "")
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.ErrorContains(t, err, "storage ")
	require.Less(t, faults.Fired(), versions)
	require.Empty(t, filesIn(t, in.second()))
	require.Len(t, filesIn(t, in.folder), versions)

	faults.Clear()
	faults.Inject(faulty.Fault{Op: faulty.Delete, Key: storage.BlobPrefix, Times: 20, Err: faulty.ErrIO})
	_, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err, "what could not be deleted was tried again")
	require.Empty(t, in.files(t))
}

// TestAuditWithoutOne: what is wrong with the other storages is found, and mended, while
// one is away.
func TestAuditWithoutOne(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	st := in.addStorage(t)
	stray := in.putStray(t, st.ID)
	in.loseMain(t)
	var found []string
	_, err := upkeep.Audit(t.Context(), in.db, in.stores, func(f upkeep.Finding) error {
		found = append(found, string(f.Fault)+" "+f.Key())
		return nil
	})
	require.ErrorContains(t, err, "the share is gone")
	require.Equal(t, []string{"extra " + stray}, found)
	said := make(map[string]string)
	err = upkeep.Rebuild(t.Context(), in.db, in.stores, nil, func(f upkeep.Finding, what string) { said[f.Key()] = what })
	require.ErrorContains(t, err, "the share is gone")
	require.Equal(t, map[string]string{stray: "is now recorded"}, said)
}

// TestInspectWithoutOne: the files of other storages are read while one is away; when it
// is back, the job reads that one's, and no other's again.
func TestInspectWithoutOne(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	st := in.addStorage(t)
	in.damage(t, in.mustPush(t, "1", "a one").Files[0])
	first := in.feed
	in.assign(t, st.ID)
	there := in.mustPush(t, "2", "a two").Files[0]
	blobs, err := in.stores.Store(t.Context(), st.ID)
	require.NoError(t, err)
	require.NoError(t, blobs.Delete(t.Context(), there.StorageKey))
	in.feed = first
	in.mustPush(t, "3", "a three")
	in.assign(t, st.ID)
	in.mustPush(t, "4", "a four")

	back := in.loseMain(t)
	log := new(testenv.LogBuffer)
	job := in.claim(t)
	work := func() error { return in.inspector(log).Work(t.Context(), job, new(indexing.Progress)) }
	for range 2 {
		err = work()
		require.ErrorContains(t, err, "2 files could not be read")
		require.ErrorContains(t, err, "the share is gone")
		require.Equal(t, 1, strings.Count(log.String(), "main/a 2"), "it is read once")
	}
	back()
	require.ErrorContains(t, work(), "stored files missing or damaged: 2 of 4")
	require.Equal(t, 1, strings.Count(log.String(), "main/a 2"))
	require.Contains(t, log.String(), "main/a 1")
}

// TestMoveWithoutOne: files are moved between the other storages while one is away.
func TestMoveWithoutOne(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	third := in.addFolder(t, "Third", filepath.Join(in.dir, "third"))
	in.mustPush(t, "1", "a one")
	in.assign(t, in.addStorage(t).ID)
	in.mustPush(t, "2", "a two")
	in.assign(t, third.ID)
	back := in.loseMain(t)
	said, err := run(t, upkeep.NewMover(in.db, in.stores, dark), "")
	require.ErrorContains(t, err, "the share is gone")
	require.Equal(t, "1 file (5 bytes) moved", said)
	require.Equal(t, third.ID, in.versions(t, "a")["2"].Files[0].StorageID)
	back()
	_, err = run(t, upkeep.NewMover(in.db, in.stores, dark), "")
	require.NoError(t, err)
	require.Equal(t, third.ID, in.versions(t, "a")["1"].Files[0].StorageID)
}
