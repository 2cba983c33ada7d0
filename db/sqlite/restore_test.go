package sqlite_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
)

func set(t *testing.T, s *db.Store, value string) {
	t.Helper()
	require.NoError(t, s.Tx(t.Context(), func(tx *db.Tx) error { return tx.SetSetting(t.Context(), "one", value) }))
}

// TestRestore: a backup takes the place of a database, damaged or not, once nobody
// uses it; what is no such backup is refused, and changes nothing.
func TestRestore(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, copied := filepath.Join(folder, "with space & %.db"), filepath.Join(folder, "copy.db")
	open := func() *db.Store {
		s, err := sqlite.Open(t.Context(), path, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() }) // closed already if all went well
		return s
	}
	s := open()
	set(t, s, "before")
	require.NoError(t, sqlite.Backup(t.Context(), path, copied))
	set(t, s, "after")
	_, err := sqlite.Restore(t.Context(), copied, path)
	require.ErrorIs(t, err, proget.ErrConflict)
	set(t, s, "later")
	require.NoError(t, s.Close())

	for name, spoil := range map[string]func(file string){
		"missing":   func(file string) { require.NoError(t, os.Remove(file)) },
		"empty":     func(file string) { require.NoError(t, os.Truncate(file, 0)) },
		"truncated": func(file string) { require.NoError(t, os.Truncate(file, 40<<10)) },
		"text":      func(file string) { require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("text"), 1000), 0o600)) },
		"foreign": func(file string) {
			require.NoError(t, os.Remove(file))
			pool, err := sql.Open("sqlite", file)
			require.NoError(t, err)
			_, err = pool.ExecContext(t.Context(), "CREATE TABLE a (id INTEGER)")
			require.NoError(t, err)
			require.NoError(t, pool.Close())
		},
		"newer": func(file string) {
			pool, err := sql.Open("sqlite", file)
			require.NoError(t, err)
			_, err = pool.ExecContext(t.Context(), "INSERT INTO schema_version (version, name, applied, oldest) VALUES (999, 'x', 0, 999)")
			require.NoError(t, err)
			require.NoError(t, pool.Close())
		},
	} {
		file := filepath.Join(t.TempDir(), "spoilt.db")
		require.NoError(t, sqlite.Backup(t.Context(), copied, file))
		spoil(file)
		_, err := sqlite.Restore(t.Context(), file, path)
		require.ErrorIs(t, err, proget.ErrInvalid, name)
	}
	_, err = sqlite.Restore(t.Context(), path, path)
	require.ErrorIs(t, err, proget.ErrInvalid)

	kept, err := sqlite.Restore(t.Context(), copied, path)
	require.NoError(t, err)
	s = open()
	settings, err := s.Settings(t.Context())
	require.NoError(t, err)
	require.Equal(t, "before", settings["one"])
	require.NoError(t, s.Close())

	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	_, err = sqlite.Restore(t.Context(), kept, path)
	require.NoError(t, err)
	s = open()
	settings, err = s.Settings(t.Context())
	require.NoError(t, err)
	require.Equal(t, "later", settings["one"])
	require.NoError(t, s.Close())
	left, err := filepath.Glob(filepath.Join(folder, ".restore-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestRestoreToNothing: a backup makes a database where there is none.
func TestRestoreToNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, copied := filepath.Join(folder, "test.db"), filepath.Join(folder, "copy.db")
	s, err := sqlite.Open(t.Context(), path, nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, sqlite.Backup(t.Context(), path, copied))
	require.NoError(t, os.Remove(path))
	kept, err := sqlite.Restore(t.Context(), copied, path)
	require.NoError(t, err)
	require.Empty(t, kept)
	s, err = sqlite.Open(t.Context(), path, &db.Options{NoMigrate: true})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
