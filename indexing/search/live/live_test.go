package live_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/indexing/search/live"
	"github.com/proget-go/ha/indexing/search/snapshot"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

// plain is a feed type whose files are the names of packages.
func plain() feed.Type {
	same := func(s string) string { return s }
	return feed.Type{Name: "plain", NameKey: same, VersionKey: same, CompareVersions: strings.Compare,
		Summary: func(*proget.Version) feed.Summary { return feed.Summary{} },
		Inspect: func(_ context.Context, f feed.File) (*feed.Manifest, error) {
			name, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size))
			return &feed.Manifest{Name: string(name), Version: "1", FileName: "f"}, err
		}}
}

// brittle is a store whose log may have been replaced, as by a failover to a server that
// lacks the newest commits.
type brittle struct {
	*db.Store
	breaks int64
}

func (b *brittle) Breaks() int64 { return b.Store.Breaks() + b.breaks }

// TestLogReplacedWhileRunning: if another entry has taken the place of a feed's newest one,
// the index is filled from the packages that are there now, although it is at the head.
func TestLogReplacedWhileRunning(t *testing.T) {
	t.Parallel()
	ctx, dark, path := t.Context(), slog.New(slog.DiscardHandler), filepath.Join(t.TempDir(), "test.db")
	store, err := sqlite.Open(ctx, path, &db.Options{Logger: dark})
	require.NoError(t, err)
	blobs, err := storage.Open(ctx, "mem:", nil)
	require.NoError(t, err)
	index, err := bleve.Open(t.TempDir())
	require.NoError(t, err)
	types, stores, log := []feed.Type{plain()}, storage.NewSet(blobs, nil), &brittle{Store: store}
	packages := catalog.New(store, types, nil)
	tail := indexing.NewTail(log, &indexing.TailOptions{Logger: dark}, packages)
	t.Cleanup(func() {
		tail.Close()
		require.NoError(t, index.Close())
		require.NoError(t, store.Close())
		require.NoError(t, blobs.Close())
	})
	x := live.New(live.Config{Index: index, DB: store, Tail: tail, Catalog: packages, Types: types,
		Shelf: &snapshot.Shelf{DB: store, Files: repoindex.NewFiles(store, stores)}, Dir: t.TempDir(), Logger: dark})

	main := &proget.Feed{Name: "main", Type: "plain", Active: true}
	require.NoError(t, store.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateFeed(ctx, main) }))
	publisher := publish.New(store, stores, types, &publish.Options{Logger: dark})
	for _, name := range []string{"kept", "lost"} {
		_, err := publisher.Publish(ctx, feed.Upload{Feed: main, Body: strings.NewReader(name), By: proget.Principal{User: "ann"}})
		require.NoError(t, err)
	}
	found := func(text string) []string {
		require.NoError(t, x.CatchUp(ctx))
		hits, err := x.Search(ctx, main, feed.Query{Text: text})
		require.NoError(t, err)
		return hits.Keys
	}
	require.Equal(t, []string{"lost"}, found("lost"))

	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer raw.Close()
	for _, statement := range []string{
		"UPDATE feed_log SET operation = 'another' WHERE package_key = 'lost'",
		"DELETE FROM package_file WHERE version_id IN (SELECT version_id FROM package_version WHERE name = 'lost')",
		"DELETE FROM package_version WHERE name = 'lost'",
	} {
		_, err = raw.ExecContext(ctx, statement)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"lost"}, found("lost"), "nothing tells of it")
	log.breaks++
	_, err = raw.ExecContext(ctx, "UPDATE feed SET description = 'a commit, so that the tail asks' WHERE name = 'main'")
	require.NoError(t, err)
	require.Empty(t, found("lost"))
	require.Equal(t, []string{"kept"}, found("kept"))
	require.Zero(t, x.Lag())
}
