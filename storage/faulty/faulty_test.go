package faulty_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/faulty"
	"github.com/proget-go/ha/storage/share"
	"github.com/proget-go/ha/storage/storagetest"
)

func memory(*testing.T) *blob.Bucket { return memblob.OpenBucket(nil) }

func folder(t *testing.T) *blob.Bucket {
	t.Helper()
	b, err := share.OpenBucket(filepath.Join(t.TempDir(), "store"))
	require.NoError(t, err)
	return b
}

// TestWithoutFaults: the wrapper alone changes nothing.
func TestWithoutFaults(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *blob.Bucket{"memory": memory, "folder": folder} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storagetest.Run(t, func(t *testing.T) *storage.Store {
				return storage.New(blob.NewBucket(faulty.New(open(t))), nil)
			})
		})
	}
}

func TestWithFaults(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) { storagetest.RunFaults(t, memory) })
	t.Run("folder", func(t *testing.T) { storagetest.RunFaults(t, folder) })
}
