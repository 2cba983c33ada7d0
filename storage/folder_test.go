package storage_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// TestTwoStoresOneFolder: what one server writes, another reads; and servers
// with different folders find out.
func TestTwoStoresOneFolder(t *testing.T) {
	t.Parallel()
	u := fileURL(t.TempDir())
	stores := make([]*storage.Store, 3)
	for i := range stores {
		if i == 2 {
			u = fileURL(t.TempDir())
		}
		var err error
		stores[i], err = storage.Open(t.Context(), u, nil)
		require.NoError(t, err)
	}
	p, err := stores[0].NewProbe(t.Context(), "web-1")
	require.NoError(t, err)
	require.NoError(t, stores[1].CheckProbe(t.Context(), p))
	require.ErrorIs(t, stores[2].CheckProbe(t.Context(), p), storage.ErrNotShared)
}

func TestFolderGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := storage.Open(t.Context(), fileURL(dir), nil)
	require.NoError(t, err)
	b, err := s.Put(t.Context(), bytes.NewReader(nil), nil)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir))

	_, err = s.Put(t.Context(), bytes.NewReader(nil), nil)
	require.ErrorIs(t, err, proget.ErrUnavailable)
	_, err = s.Open(t.Context(), b.Key)
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.NotErrorIs(t, err, proget.ErrNotFound, "the object may well be there")
	require.ErrorIs(t, s.Delete(t.Context(), b.Key), proget.ErrUnavailable)
	require.ErrorIs(t, s.CheckWritable(t.Context(), "web-1"), proget.ErrUnavailable)
	for _, err := range s.List(t.Context(), "") {
		require.ErrorIs(t, err, proget.ErrUnavailable)
	}
}

func TestRemoveLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := storage.Open(t.Context(), fileURL(dir), nil)
	require.NoError(t, err)
	leftover := filepath.Join(dir, ".tmp-of-a-killed-process")
	require.NoError(t, os.WriteFile(leftover, nil, 0o600))
	for range s.List(t.Context(), "") {
		require.Fail(t, "a leftover is listed")
	}
	removed, err := s.RemoveLeftovers(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Zero(t, removed, "it is young")
	long := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(leftover, long, long))
	removed, err = s.RemoveLeftovers(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Equal(t, 1, removed)
}

// TestMemory64MiB is not parallel: it counts what everybody allocates.
func TestMemory64MiB(t *testing.T) {
	s, err := storage.Open(t.Context(), fileURL(t.TempDir()), nil)
	require.NoError(t, err)
	put := func(size int64) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := s.Put(context.WithoutCancel(t.Context()), io.LimitReader(zeros{}, size), nil)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		return after.TotalAlloc - before.TotalAlloc
	}
	require.Less(t, put(64<<20), uint64(1<<20))
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
