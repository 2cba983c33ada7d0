package storage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// TestSet: the first storage is the one given, each other one is opened once,
// when it is needed, and tried again if that failed.
func TestSet(t *testing.T) {
	t.Parallel()
	main, err := storage.Open(t.Context(), "mem:", nil)
	require.NoError(t, err)
	defer main.Close()
	second := filepath.Join(t.TempDir(), "second")
	folder := fileURL(second)
	var asked atomic.Int64
	away := errors.New("away")
	set := storage.NewSet(main, func(_ context.Context, id int64) (string, error) {
		switch asked.Add(1); {
		case id != 2:
			return "", errors.New("unknown")
		case asked.Load() == 1:
			return "", away
		}
		return folder, nil
	})
	first, err := set.Store(t.Context(), 0)
	require.NoError(t, err)
	require.Same(t, main, first)
	_, err = set.Store(t.Context(), 2)
	require.ErrorIs(t, err, away)
	_, err = set.Store(t.Context(), 2)
	require.ErrorIs(t, err, proget.ErrUnavailable, "its share is not mounted")
	require.NoDirExists(t, second)
	require.NoError(t, os.Mkdir(second, 0o700))
	stores := make([]*storage.Store, 8)
	var all sync.WaitGroup
	for i := range stores {
		all.Go(func() { stores[i], _ = set.Store(context.WithoutCancel(t.Context()), 2) })
	}
	all.Wait()
	for _, s := range stores {
		require.Same(t, stores[0], s)
	}
	_, err = stores[0].Put(t.Context(), strings.NewReader("x"), nil)
	require.NoError(t, err)
	_, err = set.Store(t.Context(), 3)
	require.ErrorContains(t, err, "unknown")
	_, err = storage.NewSet(main, nil).Store(t.Context(), 2)
	require.Error(t, err)
	require.NoError(t, set.Close())
}
