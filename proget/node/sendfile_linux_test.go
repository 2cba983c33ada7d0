package node_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sys/unix"

	"github.com/proget-go/ha/proget/node"
)

// TestSendfileThroughFeeds shows that the kernel sends a package's file past the
// process, whatever is wrapped around the response on its way through a node.
// What sendfile(2) has queued on the loopback interface are the pages of the
// file, so a change of the file shows in bytes that were sent before it. Package
// storage has the counter-test.
func TestSendfileThroughFeeds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*node.Config){
		"plain":  func(*node.Config) {},
		"traced": func(c *node.Config) { c.Tracing = noop.NewTracerProvider() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			server := w.start(t, "a", change)
			for name, p := range packages(t, server.URL, "1.0.0") {
				before := w.objects(t)
				resp, text := ask(t, "PUT", p.push, p.file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
				require.Equal(t, http.StatusCreated, resp.StatusCode, text)
				for key := range w.objects(t) {
					if !before[key] {
						require.True(t, sentChangesLater(t, p, filepath.Join(w.folder, filepath.FromSlash(key))), name)
					}
				}
			}
		})
	}
}

// sentChangesLater asks for a package, changes its file once the first part is
// in the client's receive queue, and reports whether the client sees that.
func sentChangesLater(t *testing.T, p pkg, path string) bool {
	t.Helper()
	u, err := url.Parse(p.get)
	require.NoError(t, err)
	c, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	defer c.Close()
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.Path, u.Host)
	require.NoError(t, err)

	const queued = 48 << 10
	require.Eventually(t, func() bool { return received(t, c) >= queued }, waitLong, waitShort)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt(make([]byte, 8<<10), 16<<10)
	require.NoError(t, err)
	sent := make([]byte, queued)
	_, err = io.ReadFull(c, sent)
	require.NoError(t, err)
	_, body, found := bytes.Cut(sent, []byte("\r\n\r\n"))
	require.True(t, found)
	require.Equal(t, p.file[:8<<10], body[:8<<10])
	return !bytes.Equal(p.file[:len(body)], body)
}

// received returns how many bytes lie in the receive queue of c.
func received(t *testing.T, c net.Conn) (n int) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }))
	require.NoError(t, err)
	return n
}
