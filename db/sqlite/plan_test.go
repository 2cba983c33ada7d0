package sqlite

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/dbtest"
)

// TestPlans asks the engine how it would run each query. It goes by the schema
// alone: nothing counts the rows here.
func TestPlans(t *testing.T) {
	t.Parallel()
	e := engine{filepath.Join(t.TempDir(), "test.db")}
	s, err := db.Open(t.Context(), e, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	// A step names a table by its alias, a letter or two, if it has one.
	scan := regexp.MustCompile(`^SCAN (` + dbtest.Growing + `|p|v|f|b|c|j)( USING|$)`)
	dbtest.Plans(t, e, func(t *testing.T, statement string) (found []string) {
		pool, err := e.pool("", 1)
		require.NoError(t, err)
		defer pool.Close()
		rows, err := pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement)
		require.NoError(t, err, statement)
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var step string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
			if scan.MatchString(step) {
				found = append(found, step)
			}
		}
		require.NoError(t, rows.Err())
		return found
	})
}
