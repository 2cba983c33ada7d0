package node_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/node"
)

const stallFor = time.Second

// impatient is a node that waits for nobody for longer than idle.
func impatient(t *testing.T, idle time.Duration) *httptest.Server {
	return newWorld(t).start(t, "a", webOnly, func(c *node.Config) {
		c.Feeds = []feed.Type{asset.New()}
		c.UploadIdle, c.DownloadIdle, c.UploadRate, c.MaxRequests = idle, idle, 1<<20, 3
	})
}

// dial opens a connection and sends what a request begins with.
func dial(t *testing.T, server *httptest.Server, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(waitLong)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	return conn
}

func upload(path string, size int) string {
	return fmt.Sprintf("PUT /endpoints/asset/content/%s HTTP/1.1\r\nHost: feeds\r\nX-ApiKey: %s\r\nContent-Length: %d\r\n\r\n", path, apiKey, size)
}

// inFlight waits until so many requests are being served.
func inFlight(t *testing.T, server *httptest.Server, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, text := ask(t, "GET", server.URL+"/metrics", nil)
		return strings.Contains(text, fmt.Sprintf("\nproget_http_requests_in_flight %d\n", want))
	}, waitLong, 10*time.Millisecond)
}

// TestSlowUpload: an upload that stands still is ended, and so is one that always
// sends just enough not to.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	server := impatient(t, stallFor)
	still := dial(t, server, upload("still", 1000)+"x")
	trickle := dial(t, server, upload("trickle", 1<<30))
	go func() {
		for { // ends when the server has hung up
			if _, err := trickle.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(stallFor / 20)
		}
	}()
	for _, conn := range []net.Conn{still, trickle} {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
		require.True(t, resp.Close)
	}
	inFlight(t, server, 0)
	resp, _ := ask(t, "GET", server.URL+"/endpoints/asset/dir/", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestUnsentBody: a body that does not come keeps no connection, though nobody reads it.
func TestUnsentBody(t *testing.T) {
	t.Parallel()
	server := impatient(t, stallFor)
	for _, path := range []string{"/health", "/metrics", "/feeds", "/endpoints/asset/dir/", "/nothing"} {
		conn := dial(t, server, "GET "+path+" HTTP/1.1\r\nHost: feeds\r\nContent-Length: 100\r\n\r\n")
		_, err := io.Copy(io.Discard, conn)
		require.NoError(t, err, path) // its end
	}
}

// TestDrained: who is answered by a node that is about to stop is told to ask another.
func TestDrained(t *testing.T) {
	t.Parallel()
	server, n := newWorld(t).startNode(t, "a", webOnly)
	resp, _ := ask(t, "GET", server.URL+"/health/live", nil)
	require.False(t, resp.Close)
	n.Drain()
	resp, _ = ask(t, "GET", server.URL+"/health/live", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.True(t, resp.Close)
}

// TestSlowDownload: a client that takes nothing of an answer keeps no server
// waiting; one that does gets all of it, though that takes longer than a server waits.
func TestSlowDownload(t *testing.T) {
	t.Parallel()
	file := bytes.Repeat([]byte("0123456789abcdef"), 4<<20) // more than the kernel keeps for a connection
	start := func(idle time.Duration) *httptest.Server {
		server := impatient(t, idle)
		resp, text := ask(t, "PUT", server.URL+"/endpoints/asset/content/large", file, "X-ApiKey", apiKey)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
		return server
	}
	server := start(stallFor)
	conn := dial(t, server, "GET /endpoints/asset/content/large HTTP/1.1\r\nHost: feeds\r\n\r\n")
	inFlight(t, server, 1)
	inFlight(t, server, 0)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, resp.Body)
	require.Error(t, err, "it was cut off")
	require.Less(t, n, int64(len(file)))

	const idle = 8 * time.Second // a crowded machine takes its time, too
	conn = dial(t, start(idle), "GET /endpoints/asset/content/large HTTP/1.1\r\nHost: feeds\r\nConnection: close\r\n\r\n")
	resp, err = http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, conn.SetDeadline(began.Add(time.Minute)))
	got, err := io.ReadAll(&reluctant{resp.Body, idle / 4, 0})
	require.NoError(t, err)
	require.True(t, bytes.Equal(file, got))
	require.Greater(t, time.Since(began), idle)
}

// reluctant stops now and then.
type reluctant struct {
	io.Reader
	pause time.Duration
	read  int
}

func (r *reluctant) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if before := r.read; before>>23 != (before+n)>>23 { // each 8 MiB
		time.Sleep(r.pause)
	}
	r.read += n
	return n, err
}

// TestManyRequests: beyond what a node bears, requests are refused at once, but not
// those of load balancers.
func TestManyRequests(t *testing.T) {
	t.Parallel()
	server := newWorld(t).start(t, "a", webOnly, func(c *node.Config) {
		c.Feeds, c.MaxRequests = []feed.Type{asset.New()}, 3
	})
	var uploads []net.Conn
	for n := range 3 {
		uploads = append(uploads, dial(t, server, upload(fmt.Sprint(n), 2)+"a"))
	}
	inFlight(t, server, 3)
	resp, text := ask(t, "GET", server.URL+"/endpoints/asset/dir/", nil)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.Contains(t, text, "already serving 3 requests")
	resp, _ = ask(t, "GET", server.URL+"/health/ready", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	for _, conn := range uploads {
		_, err := io.WriteString(conn, "b")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, resp.StatusCode)
	}
	resp, _ = ask(t, "GET", server.URL+"/endpoints/asset/dir/", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
