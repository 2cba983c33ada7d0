package node_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRefusedBeforeBody: who may not push, or pushes what cannot be taken, is
// told so before the body comes, however long it is said to be.
func TestRefusedBeforeBody(t *testing.T) {
	t.Parallel()
	address := newWorld(t).start(t, "a").Listener.Addr().String()
	const nuget, upack, api = "PUT /nuget/nuget/api/v2/package", "POST /upack/universal/upload", "POST /api/packages/nuget/status?name=a&version=1.0.0"
	for name, c := range map[string]struct {
		line, headers string
		status        int
	}{
		"short body":      {nuget, "Content-Length: 1000\r\n", http.StatusUnauthorized},
		"long body":       {nuget, "Content-Length: 1000000\r\n", http.StatusUnauthorized},
		"unknown length":  {nuget, "Transfer-Encoding: chunked\r\n", http.StatusUnauthorized},
		"wrong key":       {upack, "Content-Length: 1000\r\nX-ApiKey: wrong\r\n", http.StatusUnauthorized},
		"asks first":      {upack, "Content-Length: 1000\r\nExpect: 100-continue\r\n", http.StatusUnauthorized},
		"native API":      {api, "Content-Length: 1000\r\n", http.StatusUnauthorized},
		"a page":          {"POST /feeds/nuget/upload", "Content-Length: 1000\r\n", http.StatusSeeOther},
		"a page, chunked": {"POST /feeds/nuget/upload", "Transfer-Encoding: chunked\r\n", http.StatusSeeOther},
		"no such feed":    {"PUT /nuget/other/api/v2/package", "Content-Length: 1000\r\n", http.StatusNotFound},
		"two names":       {upack + "/a/1.0.0?name=b", "Content-Length: 1000\r\nX-ApiKey: " + apiKey + "\r\n", http.StatusBadRequest},
		"asks with a key": {upack + "/a/1.0.0?name=b", "Content-Length: 1000\r\nX-ApiKey: " + apiKey + "\r\nExpect: 100-continue\r\n", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(waitLong)))
			_, err = io.WriteString(conn, c.line+" HTTP/1.1\r\nHost: feeds\r\n"+c.headers+"\r\n")
			require.NoError(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, c.status, resp.StatusCode)
			require.True(t, resp.Close, "nobody will read the body")
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			if c.status != http.StatusSeeOther {
				require.Greater(t, len(text), 20, "a sentence")
			}
		})
	}
}

// TestUnknownScheme: who tries to sign in is never anonymous, not even where
// the anonymous may read.
func TestUnknownScheme(t *testing.T) {
	t.Parallel()
	index := newWorld(t).start(t, "a").URL + "/nuget/nuget/v3/index.json"
	resp, _ := ask(t, "GET", index, nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	for _, header := range []string{"token xyz", "Basic !"} {
		resp, text := ask(t, "GET", index, nil, "Authorization", header)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		require.Contains(t, resp.Header.Get("WWW-Authenticate"), "Basic ")
		require.Contains(t, text, "cannot be understood")
	}
}

// TestMethodNotAllowed: an address that is there for other methods says so.
func TestMethodNotAllowed(t *testing.T) {
	t.Parallel()
	base := newWorld(t).start(t, "a").URL
	for request, allow := range map[string]string{
		"DELETE /nuget/nuget/v3/index.json":    "GET, HEAD",
		"DELETE /nuget/nuget":                  "GET, HEAD, PUT",
		"POST /upack/universal/packages":       "GET, HEAD",
		"GET /upack/universal/upload":          "PUT, POST",
		"GET /upack/universal/delete/a/1.0.0":  "POST, DELETE",
		"GET /api/packages/nuget/delete":       "POST, DELETE",
		"DELETE /api/packages/nuget/status":    "PUT, POST",
		"POST /health":                         "GET, HEAD",
		"DELETE /health/ready":                 "GET, HEAD",
		"POST /metrics":                        "GET, HEAD",
		"OPTIONS /upack/universal/upload":      "PUT, POST",
		"GET /api/packages":                    "",
		"POST /health/nothing":                 "",
		"PUT /upack/universal/no/such/address": "",
	} {
		method, path, _ := strings.Cut(request, " ")
		resp, text := ask(t, method, base+path, nil)
		require.Equal(t, allow, resp.Header.Get("Allow"), request)
		require.Greater(t, len(text), 20, request)
		if allow == "" {
			require.Equal(t, http.StatusNotFound, resp.StatusCode, request)
		} else {
			require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode, request)
		}
	}
}

// TestConnectionIsKept: a refusal after the whole body came costs no connection.
func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	base := newWorld(t).start(t, "a").URL
	resp, _ := ask(t, "PUT", base+"/upack/universal/upload", []byte("no package"), "X-ApiKey", apiKey)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.False(t, resp.Close)
	resp, _ = ask(t, "GET", base+"/upack/universal/download/a/1.0.0", nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.False(t, resp.Close)
}
