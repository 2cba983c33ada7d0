package azure_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/storage"
	_ "github.com/proget-go/ha/storage/azure"
	"github.com/proget-go/ha/storage/storagetest"
)

// start starts an emulator and makes the container.
func start(t *testing.T) *testenv.ObjectStore {
	t.Helper()
	server := testenv.StartAzure(t)
	bucket, err := blob.OpenBucket(t.Context(), server.URL)
	require.NoError(t, err)
	defer bucket.Close()
	var client *container.Client
	require.True(t, bucket.As(&client))
	_, err = client.Create(t.Context(), nil)
	require.NoError(t, err)
	return server
}

func TestConformance(t *testing.T) {
	server := start(t)
	var cases atomic.Int64
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		s, err := storage.Open(t.Context(), server.Prefix(fmt.Sprint("case-", cases.Add(1))), nil)
		require.NoError(t, err)
		return s
	})
}

// TestSignedURL: a client that follows the URL gets the bytes under the file's
// name and type; without the account's key there is no such URL.
func TestSignedURL(t *testing.T) {
	server := start(t)
	s, err := storage.Open(t.Context(), server.Prefix("a"), nil)
	require.NoError(t, err)
	b, err := s.Put(t.Context(), bytes.NewReader([]byte("content")), nil)
	require.NoError(t, err)
	o := storage.SignedURLOptions{TTL: time.Minute, FileName: `größe "1".nupkg`, ContentType: "application/x-package"}
	u, err := s.SignedURL(t.Context(), b.Key, o)
	require.NoError(t, err)
	resp, err := http.Get(u.String())
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(text))
	require.Equal(t, "content", string(text))
	require.Equal(t, "application/x-package", resp.Header.Get("Content-Type"))
	require.Equal(t, o.Disposition(), resp.Header.Get("Content-Disposition"))
	o.TTL = -time.Second
	u, err = s.SignedURL(t.Context(), b.Key, o)
	if err == nil {
		resp, err := http.Get(u.String())
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusForbidden, resp.StatusCode, "it has expired")
	}
	t.Setenv("AZURE_STORAGE_KEY", "")
	o.TTL = time.Minute
	_, err = s.SignedURL(t.Context(), b.Key, o)
	require.ErrorIs(t, err, storage.ErrUnsupported)
}
