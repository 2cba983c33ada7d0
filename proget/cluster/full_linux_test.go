package cluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

// TestFullDatabase: a server that cannot write to the database for lack of room
// says so, goes on, and takes it back when there is room.
func TestFullDatabase(t *testing.T) {
	t.Parallel()
	disk := testenv.SmallDisk(t)
	w := newWorldIn(t, disk)
	a := w.server(t, "a")
	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	require.NoError(t, err)
	for err == nil {
		_, err = f.WriteString(strings.Repeat("x", 4<<10))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, f.Close())
	require.Eventually(t, func() bool { // heartbeats take what room there is in the log
		err = a.Check(t.Context())
		return err != nil
	}, waitLong, waitShort/20)
	require.ErrorIs(t, err, proget.ErrNoSpace)
	require.ErrorIs(t, a.Check(t.Context()), proget.ErrNoSpace)
	require.Contains(t, strings.Join(a.Warnings(), " "), "database has no space left")
	require.Empty(t, a.Problems())
	change := func() error {
		return w.db.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.SetSetting(t.Context(), "name", "value") })
	}
	for range 3 {
		require.ErrorIs(t, change(), proget.ErrNoSpace)
	}
	err = w.db.Administer(t.Context(), "test", func(*db.Tx) error { return proget.Errorf(proget.ErrConflict, "It exists.") })
	require.ErrorIs(t, err, proget.ErrConflict)
	require.True(t, w.db.Full(), "what fails for another reason does not tell")

	require.NoError(t, os.Remove(filler))
	require.NoError(t, a.Check(t.Context()))
	require.NoError(t, a.Check(t.Context()))
	require.NotEmpty(t, a.Warnings(), "the newest change was refused")
	require.NoError(t, change())
	require.NoError(t, a.Check(t.Context()))
	require.Empty(t, a.Warnings())
}
