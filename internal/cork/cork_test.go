package cork_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/cork"
)

// TestWrite: whatever its size, an answer arrives whole, and the next one on the
// same connection too.
func TestWrite(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{ConnContext: cork.Context, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		if r.URL.Query().Has("length") {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		if err := cork.Write(w, r, bytes.Repeat([]byte("x"), size)); err != nil {
			t.Error(err)
		}
	})}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(cork.Listener{Listener: l}) })
	defer func() { _ = server.Close(); served.Wait() }()
	var dialed atomic.Int64
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}}
	defer client.CloseIdleConnections()
	sizes := []int{0, 1, 2047, 2048, 2049, 4096, 5000, 100 << 10, 3 << 20}
	for size := 3700; size <= 4100; size++ { // around what fits with the header
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		for _, length := range []string{"", "&length"} {
			resp, err := client.Get(fmt.Sprintf("http://%s/?size=%d%s", l.Addr(), size, length))
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Len(t, body, size)
			require.Equal(t, size, bytes.Count(body, []byte("x")))
		}
	}
	require.EqualValues(t, 1, dialed.Load())
}
