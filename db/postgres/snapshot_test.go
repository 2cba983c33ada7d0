package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// TestSnapshot: while nothing is committed the snapshot stays, whatever is under
// way; with every commit there is another.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(testenv.StartPostgres(t).NewDatabase(t))
	require.NoError(t, err)
	pools, err := engine{config}.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pools.Write.Close()) })
	require.NotNil(t, pools.Snapshot)
	snapshot := func() string {
		s, err := pools.Snapshot(t.Context())
		require.NoError(t, err)
		return s
	}
	other, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close(t.Context())) })
	run := func(sql string) {
		_, err := other.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	run("CREATE TABLE x (n BIGINT)")
	seen := make(map[string]bool)
	for range 20 {
		run("BEGIN")
		run("INSERT INTO x VALUES (1)")
		require.Eventually(t, func() bool { // the server's own work may commit something, too
			before := snapshot()
			return before == snapshot()
		}, 10*time.Second, time.Millisecond)
		before := snapshot()
		run("COMMIT")
		after := snapshot()
		require.NotEqual(t, before, after)
		require.NotContains(t, seen, after)
		seen[after] = true
	}
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
