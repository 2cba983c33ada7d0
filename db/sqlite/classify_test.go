package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/driver"
)

// TestFull: an error of the real engine without room is told from others.
func TestFull(t *testing.T) {
	t.Parallel()
	e := engine{filepath.Join(t.TempDir(), "test.db")}
	pool, err := e.pool("_pragma=max_page_count(8)", 1)
	require.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close() })
	_, err = pool.ExecContext(t.Context(), "CREATE TABLE t (b BLOB)")
	require.NoError(t, err)
	_, err = pool.ExecContext(t.Context(), "INSERT INTO t VALUES (zeroblob(1000000))")
	require.Error(t, err)
	require.Equal(t, driver.Full, e.Classify(err), "%v", err)
}
