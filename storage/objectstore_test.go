package storage_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/azure"
	"github.com/proget-go/ha/storage/gcs"
	"github.com/proget-go/ha/storage/s3"
	"github.com/proget-go/ha/storage/storagetest"
)

var services = []storage.Service{s3.Service(), azure.Service(), gcs.Service()}

func openURL(t *testing.T, url string) *storage.Store {
	t.Helper()
	s, err := storage.Open(t.Context(), url, &storage.Options{Services: services})
	require.NoError(t, err)
	return s
}

// conform gives each case a part of the bucket of its own.
func conform(t *testing.T, url func(prefix string) string) {
	var n atomic.Int64
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		return openURL(t, url(fmt.Sprintf("conformance/%d", n.Add(1))))
	})
}

func TestS3(t *testing.T) {
	server := testenv.StartS3(t)
	t.Run("Conformance", func(t *testing.T) {
		conform(t, func(prefix string) string { return server.BucketURL(server.Address, prefix) })
	})
}

func TestAzure(t *testing.T) {
	server := testenv.StartAzurite(t)
	t.Run("Conformance", func(t *testing.T) {
		conform(t, func(prefix string) string { return server.BucketURL(server.Address, prefix) })
	})
}

func TestGCS(t *testing.T) {
	testenv.StartGCS(t)
	t.Run("Conformance", func(t *testing.T) {
		conform(t, (&testenv.GCS{}).BucketURL)
	})
}
