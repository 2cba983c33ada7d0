package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
)

// TestQueue: operations beyond the limit are refused at once, not piled up; those
// that keep the cluster together are not among them.
func TestQueue(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), &db.Options{Queue: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Tx(t.Context(), func(*db.Tx) error {
		_, err := s.ListFeeds(t.Context())
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.Contains(t, proget.Message(err), "Try again")
		_, err = s.Heads(t.Context())
		require.NoError(t, err)
		_, err = s.ListNodes(t.Context())
		require.NoError(t, err)
		return nil
	}))
	_, err = s.ListFeeds(t.Context())
	require.NoError(t, err)
}

// TestOptions: a number that is none is refused by name.
func TestOptions(t *testing.T) {
	t.Parallel()
	for field, opts := range map[string]*db.Options{"Queue": {Queue: -1}, "Patience": {Patience: -1}, "Attempt": {Attempt: -1}} {
		_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), opts)
		require.ErrorContains(t, err, field)
	}
}
