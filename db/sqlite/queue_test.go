package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

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

// TestReadsBesideWriters: reads do not wait for the writers that wait for the file's lock,
// which another process may hold, however many these are.
func TestReadsBesideWriters(t *testing.T) {
	const writers = 20
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16)) // connections that read, some of which are reserved
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := sqlite.Open(t.Context(), path, &db.Options{Queue: writers + 1, Attempt: time.Minute, Patience: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	release := lock(t, path)
	defer release()

	var all errgroup.Group
	write := func(ctx context.Context) (err error) {
		for { // what looks at the queue may be in a writer's place
			if err = s.Tx(ctx, func(*db.Tx) error { return nil }); !errors.Is(err, proget.ErrUnavailable) {
				return err
			}
		}
	}
	for range writers {
		all.Go(func() error { return write(t.Context()) })
	}
	last, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- write(last) }()
	ended, end := context.WithCancel(t.Context())
	end()
	require.Eventually(t, func() bool { // the queue is full
		_, err := s.ListFeeds(ended)
		return errors.Is(err, proget.ErrUnavailable)
	}, time.Minute, 10*time.Millisecond)
	leave() // and has room for one now
	require.ErrorIs(t, <-left, context.Canceled)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = s.ListFeeds(ctx)
	require.NoError(t, err)
	release()
	require.NoError(t, all.Wait())
}

// lock takes the lock of the file's writers, as another process may, until release.
func lock(t *testing.T, path string) (release func()) {
	t.Helper()
	other, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	other.SetMaxOpenConns(1)
	_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	return func() { _ = other.Close() }
}

// TestOptions: a number that is none is refused by name.
func TestOptions(t *testing.T) {
	t.Parallel()
	for field, opts := range map[string]*db.Options{"Queue": {Queue: -1}, "Patience": {Patience: -1}, "Attempt": {Attempt: -1}} {
		_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), opts)
		require.ErrorContains(t, err, field)
	}
}
