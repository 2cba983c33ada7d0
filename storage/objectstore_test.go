package storage_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/storage"
	_ "github.com/proget-go/ha/storage/azure"
	_ "github.com/proget-go/ha/storage/gcs"
	_ "github.com/proget-go/ha/storage/s3"
	"github.com/proget-go/ha/storage/storagetest"
)

// conform runs the contract against a real server, each case below a prefix of
// its own.
func conform(t *testing.T, server *testenv.ObjectStore) {
	t.Helper()
	var cases atomic.Int64
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		s, err := storage.Open(t.Context(), server.Prefix(fmt.Sprint("case-", cases.Add(1))), nil)
		require.NoError(t, err)
		return s
	})
}

func TestS3(t *testing.T) { conform(t, testenv.StartS3(t)) }

func TestAzure(t *testing.T) {
	server := testenv.StartAzure(t)
	makeContainer(t, server)
	conform(t, server)
}

func TestGCS(t *testing.T) { conform(t, testenv.StartGCS(t)) }

func makeContainer(t *testing.T, server *testenv.ObjectStore) {
	t.Helper()
	bucket, err := blob.OpenBucket(t.Context(), server.URL)
	require.NoError(t, err)
	defer bucket.Close()
	var client *container.Client
	require.True(t, bucket.As(&client))
	_, err = client.Create(t.Context(), nil)
	require.NoError(t, err)
}

var _ = context.Background
var _ = strings.Repeat
