package sqlite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/sqlite"
)

// TestBeginAtOnce: several processes open a database at once that is not there
// yet. Each is this test again.
func TestBeginAtOnce(t *testing.T) {
	const variable = "PROGET_TEST_BEGIN"
	if path := os.Getenv(variable); path != "" {
		store, err := sqlite.Open(t.Context(), path, nil)
		require.NoError(t, err)
		require.NoError(t, store.Close())
		return
	}
	t.Parallel()
	for range 4 {
		path := filepath.Join(t.TempDir(), "new.db")
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				cmd := exec.Command(os.Args[0], "-test.run", "^TestBeginAtOnce$")
				cmd.Env = append(os.Environ(), variable+"="+path)
				out, err := cmd.CombinedOutput()
				assert.NoError(t, err, string(out))
			})
		}
		all.Wait()
	}
}
