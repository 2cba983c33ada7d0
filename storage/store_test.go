package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/storagetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		s, err := storage.Open(t.Context(), "mem:", nil)
		require.NoError(t, err)
		return s
	})
}

func TestFolder(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		s, err := storage.Open(t.Context(), fileURL(t.TempDir()), nil)
		require.NoError(t, err)
		return s
	})
}
