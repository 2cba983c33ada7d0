package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

// TestLateCommit: downloads whose commit's outcome was lost are not counted again, and
// those that come later are.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	late, url := testenv.StartLateCommits(t, server.Host()), server.NewDatabase(t)
	open := func(url string) *db.Store {
		s, err := postgres.Open(t.Context(), url, &db.Options{Logger: dark})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	in := &installation{db: open(url), feed: &proget.Feed{Name: "Main", Type: "plain", Active: true}}
	var err error
	in.blobs, err = storage.Open(t.Context(), "mem:", nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, in.blobs.Close()) })
	in.publisher = publish.New(in.db, storage.NewSet(in.blobs, nil), types, &publish.Options{Logger: dark})
	in.create(t, in.feed)
	v, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)

	store := open(strings.Replace(url, server.Host(), late.Host(), 1))
	files := catalog.NewFiles(store, storage.NewSet(in.blobs, nil), dark)
	files.Count(v)
	late.LoseNext(50 * time.Millisecond)
	stop(t, files)
	require.Eventually(t, func() bool { return late.Lost() == 1 && in.downloads(t, "a") > 0 }, 10*time.Second, time.Millisecond)
	stop(t, files)
	require.EqualValues(t, 1, in.downloads(t, "a"))
	files.Count(v)
	stop(t, files)
	require.EqualValues(t, 2, in.downloads(t, "a"))

	late.LoseNext(0)
	require.ErrorIs(t, store.AddDownloads(t.Context(), time.Now(), map[int64]int64{v.ID: 1}), db.ErrUncertain)
}
