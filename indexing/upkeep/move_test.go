package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// addStorage adds the second folder.
func (in *installation) addStorage(t *testing.T) *proget.Storage {
	t.Helper()
	return in.addFolder(t, "Second", in.second())
}

func (in *installation) addFolder(t *testing.T, name, folder string) *proget.Storage {
	t.Helper()
	require.NoError(t, os.Mkdir(folder, 0o700))
	st := &proget.Storage{Name: name, URL: (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(folder), "/")}).String()}
	require.NoError(t, in.db.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateStorage(t.Context(), st) }))
	return st
}

// assign gives the feed a storage; publishers who have the old feed go on with it.
func (in *installation) assign(t *testing.T, id int64) {
	t.Helper()
	changed := *in.feed
	changed.StorageID = id
	require.NoError(t, in.db.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.UpdateFeed(t.Context(), &changed) }))
	in.feed = &changed
}

// TestMove: the files of a feed go to its new storage, while others push, and
// the old place is emptied.
func TestMove(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	for n := range 10 {
		in.mustPush(t, fmt.Sprint(n), fmt.Sprintf("a %d", n%7)) // some bytes twice
	}
	late := in.feed // as a publisher knows it that has not heard of the change
	st := in.addStorage(t)
	in.assign(t, st.ID)
	in.mustPush(t, "new", "a new")
	in.mustPush(t, "known", "a 3") // the same bytes are in the old storage

	var g errgroup.Group
	g.Go(func() error {
		for n := range 20 {
			if _, err := in.push(t.Context(), fmt.Sprint("meanwhile ", n), fmt.Sprintf("b %d", n)); err != nil {
				return err
			}
		}
		return nil
	})
	said, err := run(t, upkeep.NewMover(in.db, in.stores, dark), "")
	require.NoError(t, errors.Join(err, g.Wait()))
	require.Equal(t, "10 files (30 bytes) moved", said)
	current := in.feed
	in.feed = late
	in.mustPush(t, "late", "a late")
	in.feed = current
	_, err = run(t, upkeep.NewMover(in.db, in.stores, dark), "")
	require.NoError(t, err)
	for _, name := range []string{"a", "b"} {
		for key, v := range in.versions(t, name) {
			require.Equal(t, st.ID, v.Files[0].StorageID, key)
			in.requireWhole(t, v.Files[0])
		}
	}
	heads, err := in.db.Heads(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 12+20+1+11, heads[in.feed.ID], "each move is in the log, for whoever remembers the old place")
	require.NotEmpty(t, filesIn(t, in.folder), "readers who have not heard of it still find the old place")
	_, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	require.Empty(t, filesIn(t, in.folder))
	for _, v := range in.versions(t, "a") {
		in.requireWhole(t, v.Files[0])
	}
}

// TestMoveBack: if a feed gets its former storage back while its files are moved, what
// was not yet moved stays.
func TestMoveBack(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	for n := range 3 {
		in.mustPush(t, fmt.Sprint(n), fmt.Sprintf("a %d", n))
	}
	st := in.addStorage(t)
	in.assign(t, st.ID)
	stores := storage.NewSet(in.blobs, func(ctx context.Context, id int64) (string, error) {
		in.assign(t, 0) // when the first file is about to be copied
		return in.urlOf(ctx, id)
	})
	t.Cleanup(func() { _ = stores.Close() })
	_, err := run(t, upkeep.NewMover(in.db, stores, dark), "")
	require.NoError(t, err)
	for key, v := range in.versions(t, "a") {
		require.Zero(t, v.Files[0].StorageID, key)
		in.requireWhole(t, v.Files[0])
	}
	require.Empty(t, filesIn(t, in.second()))
	heads, err := in.db.Heads(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, heads[in.feed.ID], "nothing was moved")
}

// TestMoveDamaged: what cannot be copied whole stays where it is, and holds up
// nothing else.
func TestMoveDamaged(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	damaged, missing := in.mustPush(t, "1", "a damaged"), in.mustPush(t, "2", "a missing")
	in.mustPush(t, "3", "a whole")
	in.damage(t, damaged.Files[0])
	require.NoError(t, in.blobs.Delete(t.Context(), missing.Files[0].StorageKey))
	st := in.addStorage(t)
	in.assign(t, st.ID)
	_, err := run(t, upkeep.NewMover(in.db, in.stores, dark), "")
	require.ErrorContains(t, err, "not moved because they are missing or damaged: 2 files")
	versions := in.versions(t, "a")
	require.Zero(t, versions["1"].Files[0].StorageID)
	require.Zero(t, versions["2"].Files[0].StorageID)
	require.Equal(t, st.ID, versions["3"].Files[0].StorageID)
	require.Len(t, filesIn(t, in.second()), 1, "half of a copy is not left behind")
}
