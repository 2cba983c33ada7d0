package storage_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/proget-go/ha/storage"
)

// TestSendfileSharesPages shows that the kernel itself sends the file. What
// sendfile(2) has queued on the loopback interface are not copies but the pages
// of the file, so a change of the file shows in bytes that were sent before it.
// The same content as another type is copied by the process, and shows nothing.
func TestSendfileSharesPages(t *testing.T) {
	t.Parallel()
	asFile := func(r *storage.Reader) io.ReadSeeker { return r.Content() }
	asOther := func(r *storage.Reader) io.ReadSeeker { return struct{ io.ReadSeeker }{r} }
	require.True(t, sentChangesLater(t, asFile))
	require.False(t, sentChangesLater(t, asOther))
}

// sentChangesLater sends a file of zeros, changes the file once the first part
// is in the client's receive queue, and reports whether the client sees that.
func sentChangesLater(t *testing.T, content func(*storage.Reader) io.ReadSeeker) bool {
	dir := t.TempDir()
	s, err := storage.Open(t.Context(), fileURL(dir), nil)
	require.NoError(t, err)
	b, err := s.Put(t.Context(), io.LimitReader(zeros{}, 64<<20), nil)
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r, err := s.Open(req.Context(), b.Key); err == nil {
			defer r.Close()
			http.ServeContent(w, req, "a.bin", time.Time{}, content(r))
		}
	}))
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)

	const queued = 48 << 10
	require.Eventually(t, func() bool { return received(t, c) >= queued }, 10*time.Second, time.Millisecond)
	f, err := os.OpenFile(filepath.Join(dir, b.Key), os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, 8<<10), 16<<10) // 0xff is in no header
	require.NoError(t, err)
	sent := make([]byte, queued)
	_, err = io.ReadFull(c, sent)
	require.NoError(t, err)
	return bytes.IndexByte(sent, 0xff) >= 0
}

// received returns how many bytes lie in the receive queue of c.
func received(t *testing.T, c net.Conn) (n int) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	}))
	require.NoError(t, err)
	return n
}
