package sqlite

import (
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// nextVersion is this software in a later version, which has one migration more.
type nextVersion struct {
	engine
	migration string
}

func (n nextVersion) Files() fs.FS {
	all := fstest.MapFS{"migrations/005_next.sql": {Data: []byte(n.migration)}}
	for _, pattern := range []string{"migrations/*.sql", "queries/*.sql"} {
		names, _ := fs.Glob(files, pattern)
		for _, name := range names {
			text, _ := fs.ReadFile(files, name)
			all[name] = &fstest.MapFile{Data: text}
		}
	}
	return all
}

// TestUpgrade: a migration that breaks off leaves the schema as it was, for the
// nodes of the former version and for the next attempt; once it is done, a node
// of the former version can start again, unless the migration says otherwise: then
// it says that it is too old.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	e := engine{filepath.Join(t.TempDir(), "test.db")}
	open := func(v db.Options, n ...nextVersion) error {
		var s *db.Store
		var err error
		if len(n) > 0 {
			s, err = db.Open(t.Context(), n[0], &v)
		} else {
			s, err = db.Open(t.Context(), e, &v)
		}
		if err == nil {
			require.NoError(t, s.Ping(t.Context()))
			require.NoError(t, s.Close())
		}
		return err
	}
	err := open(db.Options{NoMigrate: true})
	require.ErrorIs(t, err, proget.ErrInvalid)
	require.Contains(t, err.Error(), "upgradedb")
	require.NoError(t, open(db.Options{}))
	require.NoError(t, open(db.Options{NoMigrate: true}))

	broken := nextVersion{e, "-- oldest: 4\nALTER TABLE feed ADD COLUMN icon TEXT; ALTER TABLE nowhere ADD COLUMN icon TEXT"}
	require.ErrorContains(t, open(db.Options{}, broken), "005_next")
	require.NoError(t, open(db.Options{}), "the former version goes on")

	unsaid := nextVersion{e, "ALTER TABLE feed ADD COLUMN icon TEXT"}
	require.ErrorContains(t, open(db.Options{}, unsaid), "005_next")

	mended := nextVersion{e, "-- oldest: 4\nALTER TABLE feed ADD COLUMN icon TEXT"}
	require.NoError(t, open(db.Options{}, mended))
	require.NoError(t, open(db.Options{}, mended))
	require.NoError(t, open(db.Options{}), "the former version still works")

	e.path = filepath.Join(t.TempDir(), "test.db")
	require.NoError(t, open(db.Options{}, nextVersion{e, "-- oldest: 5\nALTER TABLE feed ADD COLUMN icon TEXT"}))
	err = open(db.Options{})
	require.ErrorIs(t, err, proget.ErrInvalid)
	require.Contains(t, err.Error(), "newer version")
}
