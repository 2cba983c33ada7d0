package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/dbtest"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

func TestConformance(t *testing.T) {
	server := testenv.StartPostgres(t)
	run(t, server, func(url string) string { return url })
}

// TestVersions: the contract holds on the other versions that are supported.
func TestVersions(t *testing.T) {
	for _, major := range []string{"13", "14", "16", "17"} {
		t.Run(major, func(t *testing.T) {
			run(t, testenv.StartPostgresVersion(t, major), func(url string) string { return url })
		})
	}
}

// TestPooler: the contract holds behind a pooler that gives each transaction
// another session of the server.
func TestPooler(t *testing.T) {
	server := testenv.StartPostgres(t)
	run(t, server, server.StartPgBouncer(t))
}

func run(t *testing.T, server *testenv.Postgres, through func(url string) string) {
	dbtest.Run(t, func(t *testing.T) dbtest.Open {
		url := through(server.NewDatabase(t))
		return func(t *testing.T) *db.Store {
			s, err := postgres.Open(t.Context(), url, nil)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		}
	})
}

// TestOpenConfig: what a program does before each connection is made holds for each.
func TestOpenConfig(t *testing.T) {
	t.Parallel()
	url := testenv.StartPostgres(t).NewDatabase(t)
	config, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	var asked atomic.Int64
	token := func(_ context.Context, c *pgx.ConnConfig) error {
		if asked.Add(1) == 2 {
			return errors.New("the tokens' server is away for a moment")
		}
		c.RuntimeParams["application_name"] = "with a token"
		return nil
	}
	s, err := postgres.OpenConfig(t.Context(), config, token, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.Greater(t, asked.Load(), int64(2))
	require.Empty(t, config.RuntimeParams["application_name"], "the program's own is left alone")
	other, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	var with, without int
	require.NoError(t, other.QueryRowContext(t.Context(), "SELECT COUNT(*) FILTER (WHERE application_name = 'with a token'), COUNT(*) FILTER (WHERE application_name = '') "+
		"FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&with, &without))
	require.Positive(t, with)
	require.Zero(t, without)
}

// TestFormerPrimary: a primary that does not know that a standby has taken its
// place is not believed, although it comes first among the hosts.
func TestFormerPrimary(t *testing.T) {
	t.Parallel()
	former := testenv.StartPostgres(t)
	ctx, url := t.Context(), former.NewDatabase(t)
	standby := former.StartStandby(t)
	both := strings.Replace(url, former.Host(), former.Host()+","+standby.Host(), 1) + "&target_session_attrs=read-write"
	s, err := postgres.Open(ctx, both, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	write := func(value string) {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.SetSetting(ctx, "key", value) }))
	}
	write("before")
	other, err := sql.Open("pgx", strings.Replace(url, former.Host(), standby.Host(), 1))
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	require.Eventually(t, func() bool {
		var value string
		err := other.QueryRowContext(ctx, "SELECT value FROM setting WHERE name = 'key'").Scan(&value)
		return err == nil && value == "before"
	}, 30*time.Second, 20*time.Millisecond)

	standby.Promote(t)
	former.Stop(t)
	write("after")
	former.Start(t)
	_, err = other.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	require.NoError(t, err)
	all, err := s.Settings(ctx)
	require.NoError(t, err)
	require.Equal(t, "after", all["key"])
}

// TestNoRights: an account that may not change the schema is told so, and serves
// a schema that is up to date.
func TestNoRights(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	url := server.NewDatabase(t)
	admin, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	for _, statement := range []string{
		"CREATE ROLE app LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
		"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app",
		"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO app"} {
		_, err = admin.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	app := strings.Replace(url, "postgres@", "app@", 1)
	_, err = postgres.Open(t.Context(), app, nil)
	require.ErrorIs(t, err, proget.ErrInvalid)
	require.Contains(t, err.Error(), "upgradedb")
	require.Contains(t, err.Error(), "permission denied for schema public")

	upgraded, err := postgres.Open(t.Context(), url, nil)
	require.NoError(t, err)
	require.NoError(t, upgraded.Close())
	for _, opts := range []db.Options{{}, {NoMigrate: true}} {
		s, err := postgres.Open(t.Context(), app, &opts)
		require.NoError(t, err)
		require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { return tx.SetSetting(t.Context(), "key", "value") }))
		require.NoError(t, s.Close())
	}
}

func TestUnreadableURL(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), "postgres://host:notaport/db", nil)
	require.ErrorIs(t, err, proget.ErrInvalid)
}

// TestCanceledWhenBusy: the worker of a job that is to be given up learns that also
// when so many operations are under way that clients are refused.
func TestCanceledWhenBusy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := postgres.Open(ctx, testenv.StartPostgres(t).NewDatabase(t), &db.Options{Queue: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "k"}) }))
	j, err := s.ClaimJob(ctx, "w", "", time.Minute)
	require.NoError(t, err)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.CancelJob(ctx, j.ID) }))
	require.NoError(t, s.Tx(ctx, func(*db.Tx) error {
		_, err := s.FindJob(ctx, j.ID)
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.ErrorIs(t, s.BeatJob(ctx, j, time.Minute, 0, 0, ""), proget.ErrCanceled)
		return nil
	}))
}
