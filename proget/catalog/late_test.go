package catalog_test

import (
	"database/sql"
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

func openPostgres(t *testing.T, url string) *db.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// onPostgres is an installation whose database is on PostgreSQL.
func onPostgres(t *testing.T, url string) *installation {
	t.Helper()
	in := &installation{db: openPostgres(t, url), feed: &proget.Feed{Name: "Main", Type: "plain", Active: true}}
	var err error
	in.blobs, err = storage.Open(t.Context(), "mem:", nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, in.blobs.Close()) })
	in.publisher = publish.New(in.db, storage.NewSet(in.blobs, nil), types, &publish.Options{Logger: dark})
	in.create(t, in.feed)
	return in
}

// TestFullIsNotKept: a read for which the database had no space is asked again.
func TestFullIsNotKept(t *testing.T) {
	t.Parallel()
	url := testenv.StartPostgres(t).NewDatabase(t)
	in := onPostgres(t, url)
	_, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	raw, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer raw.Close()
	alter := func(statement string) {
		_, err := raw.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	alter("CREATE FUNCTION no_space() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$")
	alter("ALTER TABLE package_file RENAME TO away")
	alter("CREATE VIEW package_file AS SELECT * FROM away WHERE no_space()")
	c := catalog.New(in.db, types, nil)
	_, err = c.Package(t.Context(), in.feed, "a")
	require.ErrorIs(t, err, proget.ErrNoSpace)
	alter("DROP VIEW package_file")
	alter("ALTER TABLE away RENAME TO package_file")
	p, err := c.Package(t.Context(), in.feed, "a")
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, keys(p))
}

// TestLateCommit: downloads whose commit's outcome was lost are not counted again, and
// those that come later are.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	late, url := testenv.StartLateCommits(t, server.Host()), server.NewDatabase(t)
	in := onPostgres(t, url)
	v, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)

	store := openPostgres(t, strings.Replace(url, server.Host(), late.Host(), 1))
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
