// Package feedtest checks that a feed type keeps what every feed promises. It runs
// three nodes behind a load balancer that sends each request to another node:
//
//	func TestConformance(t *testing.T) { feedtest.Run(t, feedtest.Suite{Type: mytype.New(), …}) }
package feedtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
)

// A Cluster is three web nodes on one database and one folder, with one feed of the
// type, named after the type. It stops when the test ends.
type Cluster struct {
	URL      string   // of the load balancer
	Nodes    []string // their URLs
	Feed     string   // the feed's URL, through the load balancer
	Password string   // of the user Admin
	Key      string   // an API key that may do everything in the feed

	mount  string
	folder string
}

// Start starts a cluster with a feed of typ and one of each type in others, all named
// after their types.
func Start(t testing.TB, typ feed.Type, others ...feed.Type) *Cluster {
	t.Helper()
	c := &Cluster{Password: "correct horse", Key: "key-of-the-tests", folder: t.TempDir(), mount: "/" + typ.MountName() + "/" + typ.Name}
	blobs, err := storage.OpenFolder(c.folder, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = blobs.Close() })
	keys, err := auth.ParseKeyring(auth.NewEncryptionKey())
	require.NoError(t, err)
	database := filepath.Join(t.TempDir(), "test.db")
	var handlers []http.Handler
	for _, name := range []string{"a", "b", "c"} {
		store, err := sqlite.Open(t.Context(), database, nil)
		require.NoError(t, err)
		n, err := node.New(t.Context(), node.Config{DB: store, Blobs: blobs, Keys: keys, Feeds: append([]feed.Type{typ}, others...), Name: name, Roles: []string{node.RoleWeb},
			FirstStart: &node.FirstStart{Password: c.Password, APIKey: c.Key}, CacheDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = n.Run(ctx) })
		server := httptest.NewServer(n.Handler())
		t.Cleanup(func() {
			server.Close()
			cancel()
			running.Wait()
			require.NoError(t, n.Close())
			require.NoError(t, store.Close())
		})
		handlers = append(handlers, n.Handler())
		c.Nodes = append(c.Nodes, server.URL)
	}
	var next atomic.Uint64
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers[next.Add(1)%uint64(len(handlers))].ServeHTTP(w, r)
	}))
	t.Cleanup(balancer.Close)
	c.URL, c.Feed = balancer.URL, balancer.URL+c.mount
	return c
}

// An Answer is a response with its whole body.
type Answer struct {
	*http.Response
	Body []byte
}

// Do sends a request and returns the response, whatever its status.
func Do(t testing.TB, r *http.Request) Answer {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return Answer{resp, body}
}

// Request returns a request. header has pairs of names and values.
func Request(t testing.TB, method, url string, body []byte, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// Get requests a document without compression.
func Get(t testing.TB, url string, header ...string) Answer {
	t.Helper()
	return Do(t, Request(t, http.MethodGet, url, nil, append(header, "Accept-Encoding", "identity")...))
}

// Files returns the number of files in storage, including those of unfinished uploads.
func (c *Cluster) Files(t testing.TB) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(c.folder, storage.BlobPrefix), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	require.NoError(t, err)
	return n
}

// LoseFiles removes all files from storage behind the servers' backs.
func (c *Cluster) LoseFiles(t testing.TB) {
	t.Helper()
	require.NoError(t, os.RemoveAll(filepath.Join(c.folder, storage.BlobPrefix)))
}
