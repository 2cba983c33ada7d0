package storagetest_test

import (
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/storagetest"
)

// A backend's test opens a store over its own bucket.
func Example() {
	_ = func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) *storage.Store {
			return storage.New(memblob.OpenBucket(nil), nil)
		})
	}
}
