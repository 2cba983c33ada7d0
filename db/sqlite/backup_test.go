package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
)

// TestBackup: a copy that is made while others write is the database as it was
// at one moment between.
func TestBackup(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, copied := filepath.Join(folder, "test.db"), filepath.Join(folder, "copy.db")
	s, err := sqlite.Open(t.Context(), path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	set := func(n int) error {
		return s.Tx(t.Context(), func(tx *db.Tx) error {
			if err := tx.SetSetting(t.Context(), "one", fmt.Sprint(n)); err != nil {
				return err
			}
			return tx.SetSetting(t.Context(), "other", fmt.Sprint(n))
		})
	}
	require.NoError(t, set(0))
	stop := make(chan struct{})
	var writing errgroup.Group
	writing.Go(func() error {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return nil
			default:
			}
			if err := set(n); err != nil {
				return err
			}
		}
	})
	require.NoError(t, sqlite.Backup(t.Context(), path, copied))
	close(stop)
	require.NoError(t, writing.Wait())

	backup, err := sqlite.Open(t.Context(), copied, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backup.Close()) })
	all, err := backup.Settings(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, all["one"])
	require.Equal(t, all["one"], all["other"])
	require.NoFileExists(t, copied+".partial")

	require.ErrorIs(t, sqlite.Backup(t.Context(), path, copied), proget.ErrInvalid, "a copy is never overwritten")
	missing := filepath.Join(folder, "missing.db")
	require.ErrorIs(t, sqlite.Backup(t.Context(), missing, filepath.Join(folder, "other.db")), proget.ErrInvalid)
	require.NoFileExists(t, missing)
}
