package upkeep_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

// onPostgres is an installation whose commits can be lost.
func onPostgres(t *testing.T) (*installation, *testenv.LateCommits) {
	t.Helper()
	server := testenv.StartPostgres(t)
	late := testenv.StartLateCommits(t, server.Host())
	dir := t.TempDir()
	in := &installation{dir: dir, folder: filepath.Join(dir, "packages"), feed: &proget.Feed{Name: "main", Type: "plain", Active: true}}
	var err error
	in.db, err = postgres.Open(t.Context(), strings.Replace(server.NewDatabase(t), server.Host(), late.Host(), 1), &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.db.Close() })
	in.blobs, err = storage.OpenFolder(in.folder, nil)
	require.NoError(t, err)
	in.stores = storage.NewSet(in.blobs, in.urlOf)
	in.publisher = publish.New(in.db, in.stores, []feed.Type{plain()}, &publish.Options{Logger: dark})
	require.NoError(t, in.db.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), in.feed) }))
	return in, late
}

// TestMoveLate: a copy to which a file was made to refer, by a commit that seemed to be
// lost, stays.
func TestMoveLate(t *testing.T) {
	t.Parallel()
	in, late := onPostgres(t)
	in.mustPush(t, "1", "a precious")
	in.assign(t, in.addStorage(t).ID)
	late.LoseNext(300 * time.Millisecond)
	_, err := run(t, upkeep.NewMover(in.db, in.stores, dark), "")
	require.NoError(t, err)
	require.EqualValues(t, 1, late.Lost())
	_, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	in.requireWhole(t, in.versions(t, "a")["1"].Files[0])
}

// TestMendLate: so does one that took the place of a damaged object.
func TestMendLate(t *testing.T) {
	t.Parallel()
	in, late := onPostgres(t)
	in.mustPush(t, "1", "a same")
	require.NoError(t, in.delete(t.Context(), "a", "1"))
	_, err := in.db.MarkBlobs(t.Context(), 0, 10, noGrace)
	require.NoError(t, err)
	second := in.mustPush(t, "2", "a same")
	in.damage(t, second.Files[0])
	late.LoseNext(0)
	_, err = run(t, in.inspector(nil), "")
	require.NoError(t, err)
	require.EqualValues(t, 1, late.Lost())
	in.requireWhole(t, in.versions(t, "a")["2"].Files[0])
}

// TestMoveToMissing: a file is not made to refer to bytes that another storage has lost;
// a copy takes their place, for those who refer to them, too.
func TestMoveToMissing(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	st := in.addStorage(t)
	in.assign(t, st.ID)
	there := in.mustPush(t, "1", "a same")
	in.assign(t, 0)
	in.mustPush(t, "2", "a same")
	second, err := in.stores.Store(t.Context(), st.ID)
	require.NoError(t, err)
	require.NoError(t, second.Delete(t.Context(), there.Files[0].StorageKey))
	in.assign(t, st.ID)
	_, err = run(t, upkeep.NewMover(in.db, in.stores, dark), "")
	require.NoError(t, err)
	_, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	for _, v := range in.versions(t, "a") {
		require.Equal(t, st.ID, v.Files[0].StorageID)
		in.requireWhole(t, v.Files[0])
	}
}
