package direct_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/direct"
)

// TestNoHandler: as with net/http, http.DefaultServeMux answers then.
func TestNoHandler(t *testing.T) {
	t.Parallel()
	conn, r := dial(t, serve(t, &http.Server{}))
	status, _ := exchange(t, conn, r, "GET /no/such/pattern HTTP/1.1\r\nHost: a\r\n\r\n")
	require.Equal(t, http.StatusNotFound, status)
}

func TestNoListener(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, direct.Serve(t.Context(), &http.Server{}, nil, 0), "and a listener")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	require.ErrorContains(t, direct.Serve(t.Context(), nil, l, 0), "an http.Server")
}

// TestUpgrade: who asks for another protocol gets it, also on a connection on which
// simple requests were answered.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/simple", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, _ *http.Request) {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := both.ReadString('\n')
		_, _ = fmt.Fprint(conn, line)
	})
	addr := serve(t, &http.Server{Handler: mux})
	for _, header := range []string{"Connection: Upgrade\r\nUpgrade: echo\r\n", "Connection: keep-alive, upgrade\r\n"} {
		for simple := range 2 {
			conn, r := dial(t, addr)
			for range simple {
				status, _ := exchange(t, conn, r, "GET /simple HTTP/1.1\r\nHost: a\r\n\r\n")
				require.Equal(t, http.StatusOK, status)
			}
			_, err := fmt.Fprintf(conn, "GET /echo HTTP/1.1\r\nHost: a\r\n%s\r\n", header)
			require.NoError(t, err)
			answer, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
			_, err = fmt.Fprint(conn, "hello\n")
			require.NoError(t, err)
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "hello\n", line)
		}
	}
}

// TestAborted: an answer that its handler breaks off is not taken for a whole one.
func TestAborted(t *testing.T) {
	t.Parallel()
	addr := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		if r.URL.Path == "/flushed" {
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	})})
	for _, path := range []string{"/held", "/flushed"} {
		conn, r := dial(t, addr)
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		require.NoError(t, err)
		require.Error(t, whole(r), path)
	}
}

// whole reads an answer and reports what it lacks.
func whole(r *bufio.Reader) error {
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// TestTLS: a server that has a configuration for TLS speaks it, whether the listener
// does already or not.
func TestTLS(t *testing.T) {
	t.Parallel()
	known := httptest.NewUnstartedServer(nil)
	known.EnableHTTP2 = true
	known.StartTLS()
	t.Cleanup(known.Close)
	for _, listens := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), TLSConfig: known.TLS.Clone()}
		address := "https://" + l.Addr().String()
		if listens {
			l = tls.NewListener(l, known.TLS.Clone())
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- direct.Serve(ctx, server, l, time.Minute) }()
		answer, err := known.Client().Get(address)
		require.NoError(t, err)
		require.Equal(t, 2, answer.ProtoMajor)
		require.NoError(t, answer.Body.Close())
		cancel()
		require.NoError(t, <-ended)
	}
}
