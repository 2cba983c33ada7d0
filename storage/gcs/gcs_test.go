package gcs_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/storage"
	_ "github.com/proget-go/ha/storage/gcs"
	"github.com/proget-go/ha/storage/storagetest"
)

func TestConformance(t *testing.T) {
	server := testenv.StartGCS(t)
	var cases atomic.Int64
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		s, err := storage.Open(t.Context(), server.Prefix(fmt.Sprint("case-", cases.Add(1))), nil)
		require.NoError(t, err)
		return s
	})
}

// TestSignedURL: the name and the type are part of what is signed. No emulator
// checks signatures, so it is the URL that is looked at.
func TestSignedURL(t *testing.T) {
	server := testenv.StartGCS(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	s, err := storage.Open(t.Context(), server.Prefix("a")+"&access_id=tester&private_key_path="+url.QueryEscape(path), nil)
	require.NoError(t, err)
	b, err := s.Put(t.Context(), bytes.NewReader([]byte("content")), nil)
	require.NoError(t, err)
	u, err := s.SignedURL(t.Context(), b.Key, storage.SignedURLOptions{TTL: time.Minute, FileName: "a.nupkg", ContentType: "application/x-package"})
	require.NoError(t, err)
	require.Equal(t, "/packages/a/"+b.Key, u.Path)
	q := u.Query()
	require.Equal(t, "attachment; filename=a.nupkg", q.Get("response-content-disposition"))
	require.Equal(t, "application/x-package", q.Get("response-content-type"))
	require.Contains(t, []string{"59", "60"}, q.Get("X-Goog-Expires"))
	require.NotEmpty(t, q.Get("X-Goog-Signature"))
}
