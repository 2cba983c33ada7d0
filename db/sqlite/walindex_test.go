package sqlite

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

// elsewhere names the database into which this program, started again, commits.
const elsewhere = "PROGET_TEST_COMMIT_TO"

func addFeed(t *testing.T, s *db.Store) {
	t.Helper()
	require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error {
		return tx.CreateFeed(t.Context(), &proget.Feed{Name: rand.Text(), Type: "test"})
	}))
}

func TestCommitElsewhere(t *testing.T) {
	path := os.Getenv(elsewhere)
	if path == "" {
		t.Skip("other tests start this in a process of its own")
	}
	s, err := Open(t.Context(), path, nil)
	require.NoError(t, err)
	addFeed(t, s)
	require.NoError(t, s.Close())
}

// TestStamp: no commit of any process leaves the stamp as it was, and what is no
// commit does.
func TestStamp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := Open(t.Context(), path, nil)
	require.NoError(t, err)
	seen := make(map[driver.Stamp]bool)
	fresh := func(what string) {
		t.Helper()
		stamp, ok := s.Stamp()
		require.True(t, ok)
		require.False(t, seen[stamp], what)
		seen[stamp] = true
	}
	fresh("at first")
	for range 20 {
		addFeed(t, s)
		fresh("a commit of this store")
	}
	other, err := Open(t.Context(), path, nil)
	require.NoError(t, err)
	addFeed(t, other)
	fresh("a commit of another store in this process")
	require.NoError(t, other.Close())
	cmd := exec.Command(os.Args[0], "-test.run=^TestCommitElsewhere$", "-test.count=1")
	cmd.Env = append(os.Environ(), elsewhere+"="+path)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	fresh("a commit of another process")
	pool, err := engine{path}.pool("", 1)
	require.NoError(t, err)
	_, err = pool.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, err)
	require.NoError(t, pool.Close())
	addFeed(t, s)
	fresh("a commit after the log began anew")

	before, _ := s.Stamp()
	_, err = s.Heads(t.Context())
	require.NoError(t, err)
	after, _ := s.Stamp()
	require.Equal(t, before, after)
	require.NoError(t, s.Close())
}
