package sqlite

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/driver"
)

// TestErrorClasses has the real engine make each error.
func TestErrorClasses(t *testing.T) {
	t.Parallel()
	e := engine{filepath.Join(t.TempDir(), "test.db")}
	classOf := func(options string, statements ...string) driver.Kind {
		pool, err := e.pool(options, 1)
		require.NoError(t, err)
		defer pool.Close()
		for _, s := range statements[:len(statements)-1] {
			_, err := pool.ExecContext(t.Context(), s)
			require.NoError(t, err)
		}
		_, err = pool.ExecContext(t.Context(), statements[len(statements)-1])
		require.Error(t, err)
		return e.Classify(err)
	}
	const schema = "CREATE TABLE a (id INTEGER PRIMARY KEY, b BLOB); CREATE TABLE r (id INTEGER REFERENCES a (id)); INSERT INTO a VALUES (1, NULL)"
	require.Equal(t, driver.Unique, classOf("", schema, "INSERT INTO a VALUES (1, NULL)"))
	require.Equal(t, driver.ForeignKey, classOf("", "INSERT INTO r VALUES (7)"))
	require.Equal(t, driver.Full, classOf("_pragma=max_page_count(8)", "INSERT INTO a VALUES (2, zeroblob(1000000))"))
	require.Equal(t, driver.Denied, classOf("_pragma=query_only(1)", "INSERT INTO a VALUES (3, NULL)"))
	require.Equal(t, driver.Other, classOf("", "SELECT nothing FROM nowhere"))
	require.Equal(t, driver.Other, e.Classify(errors.New("something else")))

	writer, err := e.pool("", 1)
	require.NoError(t, err)
	defer writer.Close()
	_, err = writer.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	require.Equal(t, driver.Retry, classOf("", "PRAGMA busy_timeout = 1", "BEGIN IMMEDIATE"))
}
