package gcs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloud.google.com/go/storage"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/googleapi"

	"github.com/proget-go/ha/proget"
	store "github.com/proget-go/ha/storage"
)

// account makes a service account with a key of its own.
func account(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "feeds@example.iam.gserviceaccount.com", "token_uri": "http://127.0.0.1:1/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "account.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
}

// TestSignedURL: the emulators check no signature, so the URL itself must do.
func TestSignedURL(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	account(t)
	b, err := open(t.Context(), &url.URL{Scheme: "gs", Host: "packages"})
	require.NoError(t, err)
	signed, err := b.SignedURL(t.Context(), "feeds/blobs/aa", time.Minute, store.SignedURLOptions{FileName: "a.1.0.nupkg", ContentType: "application/zip"})
	require.NoError(t, err)
	u, err := url.Parse(signed)
	require.NoError(t, err)
	require.Equal(t, "/packages/feeds/blobs/aa", u.Path)
	q := u.Query()
	require.Equal(t, "GOOG4-RSA-SHA256", q.Get("X-Goog-Algorithm"))
	require.Contains(t, []string{"59", "60"}, q.Get("X-Goog-Expires"))
	require.Equal(t, "attachment; filename=a.1.0.nupkg", q.Get("response-content-disposition"))
	require.Equal(t, "application/zip", q.Get("response-content-type"))
	require.Len(t, q.Get("X-Goog-Signature"), 512)
	require.NoError(t, b.Close())
	_, err = b.SignedURL(t.Context(), "feeds/blobs/aa", time.Minute, store.SignedURLOptions{})
	require.Error(t, err, "what signs is closed, too")
}

func TestNoCredentials(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "missing.json"))
	_, err := open(t.Context(), &url.URL{Scheme: "gs", Host: "packages"})
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.ErrorContains(t, err, "there are no credentials; set GOOGLE_APPLICATION_CREDENTIALS")
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		name   string
	}{
		{storage.ErrBucketNotExist, http.StatusNotFound, "notFound"},
		{&googleapi.Error{Code: 403, Errors: []googleapi.ErrorItem{{Reason: "forbidden"}}}, http.StatusForbidden, "forbidden"},
		{&googleapi.Error{Code: 503}, http.StatusServiceUnavailable, ""},
		{errors.New("other"), 0, ""},
	} {
		status, name := status(c.err)
		require.Equal(t, c.status, status)
		require.Equal(t, c.name, name)
	}
}

// TestSeries: attempts at an upload end, but not because of failures long ago.
func TestSeries(t *testing.T) {
	t.Parallel()
	busy := &googleapi.Error{Code: http.StatusServiceUnavailable}
	s := &series{}
	for range attempts - 1 {
		require.True(t, s.again(busy))
	}
	require.False(t, s.again(busy))
	s.last = s.last.Add(-time.Hour)
	require.True(t, s.again(busy))
	require.False(t, s.again(&googleapi.Error{Code: http.StatusForbidden}))
}
