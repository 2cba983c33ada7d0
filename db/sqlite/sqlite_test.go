package sqlite_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/dbtest"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T) dbtest.Open {
		path := filepath.Join(t.TempDir(), "with space & %.db")
		return func(t *testing.T) *db.Store {
			s, err := sqlite.Open(t.Context(), path, nil)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		}
	})
}

// TestMissingFolder: a mistyped path makes nothing.
func TestMissingFolder(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "missing")
	_, err := sqlite.Open(t.Context(), filepath.Join(folder, "test.db"), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoDirExists(t, folder)
}

// TestFilesArePrivate: hashes of passwords are for nobody else on the machine.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("has no such modes")
	}
	folder := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(folder, "test.db"), nil)
	require.NoError(t, err)
	defer s.Close()
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 3, "the database, its log and their shared memory")
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode(), f.Name())
	}
}

// TestNeverDone: a transaction that others get in the way of again and again is
// given up as what may succeed later.
func TestNeverDone(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), &db.Options{Patience: 3 * time.Second})
	require.NoError(t, err)
	defer s.Close()
	err = s.Tx(t.Context(), func(*db.Tx) error { return db.ErrTryAgain })
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.NotEmpty(t, proget.Message(err))
}

// TestNoMemory: what other programs take for a database in memory would be a file of
// that name here.
func TestNoMemory(t *testing.T) {
	t.Parallel()
	for _, path := range []string{":memory:", "file::memory:"} {
		_, err := sqlite.Open(t.Context(), path, nil)
		require.ErrorIs(t, err, proget.ErrInvalid)
		require.ErrorContains(t, err, "must be a file")
	}
}
