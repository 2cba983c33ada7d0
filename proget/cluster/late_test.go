package cluster_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/storage"
)

// onPostgres is a world whose commits can be lost.
func onPostgres(t *testing.T, server *testenv.Postgres) (*world, *testenv.LateCommits) {
	t.Helper()
	late := testenv.StartLateCommits(t, server.Host())
	w := &world{folder: filepath.Join(t.TempDir(), "packages")}
	var err error
	w.db, err = postgres.Open(t.Context(), strings.Replace(server.NewDatabase(t), server.Host(), late.Host(), 1), &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.db.Close() })
	w.blobs = w.storage(t)
	return w, late
}

// urlOf is that of a folder.
func urlOf(folder string) string {
	return "file:///" + strings.TrimPrefix(filepath.ToSlash(folder), "/")
}

// withStores has a server look at the storages that were added.
func (w *world) withStores(t *testing.T) func(*cluster.Options) {
	stores := storage.NewSet(w.blobs, func(ctx context.Context, id int64) (string, error) {
		all, err := w.db.ListStorages(ctx)
		if err != nil {
			return "", err
		}
		return all[id].URL, nil
	})
	t.Cleanup(func() { require.NoError(t, stores.Close()) })
	return func(o *cluster.Options) { o.Stores = stores }
}

// TestFirstStartLate: the first server does not take itself for another that was
// first, if the answer to its commit was lost.
func TestFirstStartLate(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	for name, delay := range map[string]time.Duration{"found": 0, "met": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			w, late := onPostgres(t, server)
			require.NoError(t, w.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.SetSetting(t.Context(), "cluster.key", "key-1") }))
			late.LoseNext(delay) // that of storage, since the key is there already
			a := w.server(t, "a", patient)
			require.EqualValues(t, 1, late.Lost())
			require.Empty(t, a.Problems())
			require.Empty(t, w.server(t, "b", patient).Problems())
			require.Equal(t, 3, w.objects(t), "the cluster's and the servers' own")
		})
	}
}

// TestAddStorageLate: nobody can tell whether a storage was added whose commit
// was lost, so that it keeps its mark.
func TestAddStorageLate(t *testing.T) {
	t.Parallel()
	w, late := onPostgres(t, testenv.StartPostgres(t))
	a, b := w.server(t, "a", patient, w.withStores(t)), w.server(t, "b", patient, w.withStores(t))
	folder := filepath.Join(t.TempDir(), "archive")
	ctx, leave := context.WithCancel(t.Context())
	added := make(chan error, 1)
	late.CloseWithNext()
	go func() {
		_, err := a.AddStorage(ctx, "Archive", urlOf(folder), proget.Principal{User: "ann"})
		added <- err
	}()
	require.Eventually(t, func() bool { return late.Lost() > 0 }, waitLong, time.Millisecond)
	leave() // who asked for it, before the database answers again
	err := <-added
	late.Open()
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.Contains(t, proget.Message(err), "did not say")
	all, err := b.Storages(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2, "it was added")
	for _, r := range []*cluster.Registry{a, b} {
		require.NoError(t, r.Check(t.Context()))
		require.Empty(t, append(r.Problems(), r.Warnings()...))
	}
}
