package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/internal/testenv"
)

// openPools opens an empty database.
func openPools(t *testing.T) (*pgx.ConnConfig, driver.Pools) {
	t.Helper()
	config, err := pgx.ParseConfig(testenv.StartPostgres(t).NewDatabase(t))
	require.NoError(t, err)
	pools, err := engine{config: config}.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pools.Write.Close()) })
	return config, pools
}

// TestHeads: a commit of anybody is in the answer to the next question, and while
// nothing is committed there is none, whatever is under way.
func TestHeads(t *testing.T) {
	t.Parallel()
	config, pools := openPools(t)
	other, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close(t.Context())) })
	run := func(sql string) {
		_, err := other.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	state := ""
	ask := func() (heads map[int64]int64) {
		next, heads, err := pools.Heads(t.Context(), state)
		require.NoError(t, err)
		state = next
		return heads
	}
	run("CREATE TABLE feed_head (feed_id BIGINT, head BIGINT)")
	run("INSERT INTO feed_head VALUES (1, 0)")
	for n := range int64(20) {
		run("BEGIN")
		run("UPDATE feed_head SET head = head + 1")
		ask()
		require.Eventually(t, func() bool { return ask() == nil }, 10*time.Second, time.Millisecond) // the server's own work may commit something, too
		run("COMMIT")
		require.Equal(t, map[int64]int64{1: n + 1}, ask())
	}
}

// TestLateHeads: a question that is late says no more than that: the connections of
// others are not taken for broken.
func TestLateHeads(t *testing.T) {
	t.Parallel()
	_, pools := openPools(t)
	_, err := pools.Write.ExecContext(t.Context(), "CREATE TABLE feed_head (feed_id BIGINT, head BIGINT)")
	require.NoError(t, err)
	tx, err := pools.Write.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "LOCK TABLE feed_head")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, _, err = pools.Heads(ctx, "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, driver.Other, engine{}.Classify(err))
	require.NoError(t, tx.Rollback())
	_, heads, err := pools.Heads(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, heads)
}

// TestLateServer: a server that comes later than its client is asked all the same
// what it is.
func TestLateServer(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	proxy := testenv.StartProxy(t, server.Host())
	config, err := pgx.ParseConfig(strings.Replace(server.NewDatabase(t), server.Host(), proxy.Address(), 1))
	require.NoError(t, err)
	proxy.Cut()
	back := time.AfterFunc(7*time.Second, proxy.Heal)
	defer back.Stop()
	e := &opened{engine: engine{config: config}}
	store, err := db.Open(t.Context(), e, nil)
	require.NoError(t, err)
	defer store.Close()
	require.NotNil(t, e.pools.Heads)
}

// opened remembers the pools.
type opened struct {
	engine
	pools driver.Pools
}

func (o *opened) Open(ctx context.Context) (driver.Pools, error) {
	var err error
	o.pools, err = o.engine.Open(ctx)
	return o.pools, err
}

// TestOriginal: relatives whose snapshots may tell of one server alone are told apart.
func TestOriginal(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"PostgreSQL 15.10 (Debian 15.10-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc": true,
		"PostgreSQL 13.4 on x86_64-pc-linux-gnu, compiled by gcc, 64-bit":                   true,
		"PostgreSQL 18beta1 on aarch64-apple-darwin":                                        true,
		"PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64-pc-linux-gnu":                             false,
		"CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu)":                                     false,
	} {
		require.Equal(t, want, original.MatchString(version), version)
	}
}
