package direct_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/direct"
)

// waitLong is more than anything here takes.
const waitLong = 20 * time.Second

// serve starts a server that ends with the test.
func serve(t testing.TB, server *http.Server) (addr string) {
	t.Helper()
	addr, stop := start(t, server, waitLong)
	t.Cleanup(func() { require.NoError(t, stop()) })
	return addr
}

// start starts a server; stop ends it and tells how that went.
func start(t testing.TB, server *http.Server, grace time.Duration) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server.ErrorLog = log.New(io.Discard, "", 0)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- direct.Serve(ctx, server, l, grace) }()
	return l.Addr().String(), func() error { cancel(); return <-ended }
}

func dial(t testing.TB, addr string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(waitLong)))
	return c.(*net.TCPConn), bufio.NewReader(c)
}

// handler answers in all the ways in which a handler may, by the path's.
func handler(folder string) http.Handler {
	mux := http.NewServeMux()
	text := func(n int) string { return strings.Repeat("0123456789", n/10+1)[:n] }
	size := func(r *http.Request) int { n, _ := strconv.Atoi(r.URL.Query().Get("size")); return n }
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q %v %v %d %v %q %v\n", r.Method, r.RequestURI, r.Proto, r.Host, r.Header, r.TransferEncoding, r.ContentLength, r.Close, body, err)
	})
	mux.HandleFunc("/whole", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text(size(r))) })
	mux.HandleFunc("/declared", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size(r)))
		_, _ = io.WriteString(w, text(size(r)))
	})
	mux.HandleFunc("/pieces", func(w http.ResponseWriter, r *http.Request) {
		for n := range size(r) {
			fmt.Fprint(w, n, "\n")
		}
	})
	mux.HandleFunc("/flushed", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "one")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("Late", "is not sent")
		fmt.Fprint(w, "two")
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(folder, "file"))
	})
	mux.HandleFunc("/fails", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/x-own")
		w.Header().Set("Content-Length", "10")
		if _, err := io.Copy(w, iotest.ErrReader(io.ErrClosedPipe)); err != nil {
			http.Error(w, "it failed", http.StatusBadGateway)
		}
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Newline"] = []string{"a\r\nB: c", " d "}
		w.Header()["In valid"] = []string{"name"}
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Type", "text/x-own")
		w.WriteHeader(size(r))
		w.WriteHeader(http.StatusTeapot)
		_, err := io.WriteString(w, "12345")
		if size(r) == 304 && !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "123")
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		if _, err := io.WriteString(w, "12345"); !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
		_, _ = io.WriteString(w, "123")
	})
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/nothing", func(http.ResponseWriter, *http.Request) {})
	return mux
}

// answers sends a stream of requests, ends it, and returns what came back, in a form
// that can be compared.
func answers(t testing.TB, addr string, stream []byte) []string {
	t.Helper()
	c, r := dial(t, addr)
	defer c.Close()
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = c.Write(stream) // a server need not read all
		_ = c.CloseWrite()
	})
	defer sending.Wait()
	var all []string
	for {
		resp, err := http.ReadResponse(r, asked(stream, len(all)))
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) { // a reset may come in place of either
				all = append(all, "broken")
			}
			return all
		}
		body, err := io.ReadAll(resp.Body)
		resp.Header.Del("Date")
		var head bytes.Buffer
		require.NoError(t, resp.Header.Write(&head))
		all = append(all, fmt.Sprintf("%s length %d %v close %v\n%s\n%s\n%v", resp.Status, resp.ContentLength, resp.TransferEncoding, resp.Close, head.String(), body, err))
	}
}

// compare fails if two servers answer a stream in different ways. Less than four
// bytes after the last request net/http leaves unanswered or refuses, according to
// which request they follow; so whether a stream ends with a refusal is left out.
func compare(t *testing.T, theirs, ours string, stream []byte) {
	t.Helper()
	want, got := answers(t, theirs, stream), answers(t, ours, stream)
	refused := func(answer string) bool { return strings.HasPrefix(answer, "400 Bad Request") }
	if !slices.Equal(slices.DeleteFunc(want, refused), slices.DeleteFunc(got, refused)) {
		t.Fatalf("%.500q is answered\n%.1000q\nby net/http, and here\n%.1000q", stream, want, got)
	}
}

// asked returns a request with the method of the nth in a stream, whose answer a
// reader has to know.
func asked(stream []byte, n int) *http.Request {
	r := bufio.NewReader(bytes.NewReader(stream))
	for ; ; n-- {
		request, err := http.ReadRequest(r)
		if err != nil || n == 0 {
			return request
		}
		_, _ = io.Copy(io.Discard, request.Body)
	}
}

// TestSame: whatever is asked, and however a handler answers, the client cannot tell
// this server from net/http's.
func TestSame(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "file"), bytes.Repeat([]byte("<p>file"), 100_000), 0o600))
	theirs := quiet(handler(folder))
	defer theirs.Close()
	ours := serve(t, &http.Server{Handler: handler(folder)})
	requests := []string{"/echo", "/echo?a=b%20c", "/nothing", "/flushed", "/file", "/short", "/long", "/fails", "/close", "/panic", "/missing", "/status?size=200",
		"/status?size=204", "/status?size=304", "/status?size=404", "/pieces?size=3", "/pieces?size=3000", "//echo", "/../echo"}
	for _, size := range []int{0, 1, 511, 512, 4095, 4096, 4097, 5000, 300_000} {
		requests = append(requests, fmt.Sprint("/whole?size=", size), fmt.Sprint("/declared?size=", size))
	}
	var streams []string
	for _, target := range requests {
		for _, method := range []string{"GET", "HEAD"} {
			streams = append(streams, method+" "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
		}
	}
	streams = append(streams, seeds...)
	for _, stream := range streams {
		for _, stream := range []string{stream, stream + "GET /echo?again HTTP/1.1\r\nHost: b\r\n\r\n"} {
			compare(t, theirs.Listener.Addr().String(), ours, []byte(stream))
		}
	}
	require.NotEmpty(t, answers(t, ours, []byte(streams[0])))
}

// seeds are streams that are hard to read.
var seeds = []string{
	"GET /echo HTTP/1.1\r\nHost: a\r\n\r\nHEAD /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
	"GET /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n12345",
	"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nTrailer: b\r\n\r\n",
	"GET /echo HTTP/1.1\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost:\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"GET /echo HTTP/1.1\nHost: a\n\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
	"GET /echo HTTP/1.1\r\n Host: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nA\x00: b\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
	"GET /echo HTTP/1.0\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
	"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n",
	"GET /echo\r\n\r\n",
	"GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1 \r\nHost: a\r\n\r\n",
	"GET /ec\tho HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://b/echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"get /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nLong: " + strings.Repeat("x", 5000) + "\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nAuthorization: " + strings.Repeat("x", 4000) + "\r\n\r\n" + "GET /echo?2 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nCookie: a\r\nCookie: b\r\nCache-Control: x\r\nPragma: no-cache\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HT",
	"",
}

// quiet is net/http's server.
func quiet(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	return s
}

// FuzzSame: no stream is read in another way than net/http reads it.
func FuzzSame(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	theirs := quiet(handler(f.TempDir()))
	f.Cleanup(theirs.Close)
	ours := serve(f, &http.Server{Handler: handler(f.TempDir())})
	f.Fuzz(func(t *testing.T, stream []byte) {
		compare(t, theirs.Listener.Addr().String(), ours, stream)
	})
}

// exchange sends a part of a stream and reads the answer to it.
func exchange(t *testing.T, c io.Writer, r *bufio.Reader, part string) (status int, body string) {
	t.Helper()
	_, err := io.WriteString(c, part)
	require.NoError(t, err)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// TestTurns: one connection goes from here to net/http and back, wherever in its
// stream the pieces end that are sent.
func TestTurns(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("http2=", http2), func(t *testing.T) { testTurns(t, http2) })
	}
}

func testTurns(t *testing.T, http2 bool) {
	t.Parallel()
	var mu sync.Mutex
	var here []string // what net/http did not serve
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if http.NewResponseController(w).EnableFullDuplex() != nil {
			mu.Lock()
			here = append(here, r.URL.Path)
			mu.Unlock()
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, " ", r.URL.Path, " ", string(body))
	})}
	if http2 {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	served := func(path string) bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(here, path) }
	addr := serve(t, server)
	const get, post = "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	c, r := dial(t, addr)
	ask := func(part, want string) {
		t.Helper()
		_, got := exchange(t, c, r, part)
		require.Equal(t, want, got)
	}
	// net/http reads ahead while its handler returns, so not the first request after
	// one of its own must be one of ours.
	back := func() {
		t.Helper()
		for n := 100; n < 1000; n++ {
			ask(fmt.Sprintf(get, n), fmt.Sprintf("GET /%d ", n))
			if served(fmt.Sprintf("/%d", n)) {
				return
			}
		}
		t.Fatal("the connection stays with net/http")
	}
	ask(fmt.Sprintf(get, 1), "GET /1 ")
	ask(fmt.Sprintf(post, 2), "POST /2 abc")
	back()
	// A head that is begun in the piece before.
	ask(fmt.Sprintf(post, 4)+"GET /5 HTTP/1.1\r\n", "POST /4 abc")
	ask("Host: a\r\n\r\n", "GET /5 ")
	ask(fmt.Sprintf(get, 6)+"GE", "GET /6 ")
	ask("T /7 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /7 ")
	ask(fmt.Sprintf(get, 8)+fmt.Sprintf(post, 9)[:20], "GET /8 ")
	ask(fmt.Sprintf(post, 9)[20:]+fmt.Sprintf(get, 10), "POST /9 abc")
	ask(fmt.Sprintf(get, 11), "GET /10 ")
	ask("", "GET /11 ")
	back()
	require.Equal(t, !http2, served("/1")) // the first piece is looked at for the other protocol
	require.False(t, served("/2") || served("/5"))
	ask(strings.Replace(fmt.Sprintf(post, 13), "POST", "PUT", 1)+"XY", "PUT /13 abc") // which is not a POST's stray line end
	ask(fmt.Sprintf(get, 14), "XYGET /14 ")

	// What follows in the middle of a head is never taken for a request.
	status, _ := exchange(t, c, r, fmt.Sprintf(post, 15)+"GET /16 HTTP/1.1\r\n")
	require.Equal(t, http.StatusOK, status)
	status, _ = exchange(t, c, r, fmt.Sprintf(get, 17))
	require.Equal(t, http.StatusBadRequest, status)
	require.False(t, served("/17"))
}

// TestClientLeaves: a handler that takes long learns that its client has left, and
// what a client sends meanwhile is not lost.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	left, more := make(chan error, 1), make(chan struct{})
	addr := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait":
			<-r.Context().Done()
			left <- r.Context().Err()
		case "/slow":
			time.Sleep(100 * time.Millisecond) // longer than the patience
			<-more
		}
		fmt.Fprint(w, r.URL.Path)
	})})
	c, r := dial(t, addr)
	_, err := io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	for n := range 3 {
		_, err = fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", n)
		require.NoError(t, err)
	}
	close(more)
	for _, want := range []string{"/slow", "/0", "/1", "/2"} {
		status, body := exchange(t, c, r, "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, want, body)
	}
	_, err = io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-left, context.Canceled)
}

// TestStop: an answer that is being given when the server is told to stop arrives
// whole; connections that wait for nothing do not hold it up.
func TestStop(t *testing.T) {
	t.Parallel()
	began, goOn := make(chan struct{}, 2), make(chan struct{})
	addr, stop := start(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- struct{}{}
			<-goOn
		}
		fmt.Fprint(w, r.URL.Path)
	})}, 4*time.Second) // less than net/http waits for a new connection's first request
	idle, ri := dial(t, addr)
	exchange(t, idle, ri, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
	early, re := dial(t, addr) // has asked for nothing yet
	slow, rs := dial(t, addr)
	_, err := io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	<-began
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	_, err = ri.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	err = nil
	for err == nil { // it may be answered before the server comes to it
		var resp *http.Response
		if _, err = io.WriteString(early, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"); err == nil {
			resp, err = http.ReadResponse(re, nil)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
	}
	select {
	case <-ended:
		t.Fatal("stopped while a request was answered")
	default:
	}
	close(goOn)
	resp, err := http.ReadResponse(rs, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "/slow", string(body))
	require.True(t, resp.Close)
	require.NoError(t, <-ended)
}

// TestGrace: what does not finish in time is cut off, and told of, whoever serves it.
func TestGrace(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "socket")
		}
		l, err := net.Listen(network, address)
		require.NoError(t, err)
		began, goOn := make(chan struct{}, 1), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- direct.Serve(ctx, &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				began <- struct{}{}
				<-goOn
			})}, l, 50*time.Millisecond)
		}()
		c, err := net.Dial(network, l.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		<-began
		cancel()
		require.ErrorIs(t, <-ended, context.DeadlineExceeded, network)
		require.NoError(t, c.SetDeadline(time.Now().Add(waitLong)))
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, network)
		close(goOn)
		require.NoError(t, c.Close())
	}
}

// TestBrokenOff: when a client has not taken an answer in time, nothing follows what
// it has, even if the handler grants more time afterwards.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	large := make([]byte, 64<<20) // more than the buffers on the way hold
	failed := make(chan error, 1)
	addr := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/declared" {
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
		}
		control := http.NewResponseController(w)
		require.NoError(t, control.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
		_, err := w.Write(large)
		require.NoError(t, control.SetWriteDeadline(time.Now().Add(waitLong)))
		failed <- err
	})})
	for _, path := range []string{"/declared", "/chunked"} {
		c, r := dial(t, addr)
		_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n", path)
		require.NoError(t, err)
		require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
		all, err := io.ReadAll(r)
		require.NoError(t, err)
		require.LessOrEqual(t, bytes.Count(all, []byte("HTTP/1.1 ")), 1) // none if even that took too long
		require.False(t, bytes.HasSuffix(all, []byte("0\r\n\r\n")))
		require.NoError(t, c.Close())
	}
}

// TestShortAnswer: nothing follows the beginning of an answer whose source failed, on a
// connection on which net/http has answered or not.
func TestShortAnswer(t *testing.T) {
	t.Parallel()
	addr := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.Copy(w, io.MultiReader(strings.NewReader(strings.Repeat("a", 900)), iotest.ErrReader(errors.New("damaged"))))
		}
	})})
	for _, before := range []string{"", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		c, r := dial(t, addr)
		if before != "" {
			status, _ := exchange(t, c, r, before)
			require.Equal(t, http.StatusOK, status)
		}
		_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		all, err := io.ReadAll(r)
		require.NoError(t, err)
		_, body, _ := strings.Cut(string(all), "\r\n\r\n")
		require.Equal(t, strings.Repeat("a", 900), body)
	}
}

// TestReadTimeout: its time for a body is net/http's, which begins to count before a
// connection's first request.
func TestReadTimeout(t *testing.T) {
	t.Parallel()
	addr := serve(t, &http.Server{ReadTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, http.NewResponseController(w).EnableFullDuplex() != nil)
	})})
	c, r := dial(t, addr)
	_, here := exchange(t, c, r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	require.Equal(t, "false", here)
}

// TestDeadlines: a connection that is idle too long ends, as does one whose head
// takes too long to come, whoever has answered before.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]*http.Server{
		"idle": {IdleTimeout: 50 * time.Millisecond},
		"head": {IdleTimeout: time.Hour, ReadHeaderTimeout: 50 * time.Millisecond},
	} {
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method) })
		addr := serve(t, server)
		for _, first := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"} {
			c, r := dial(t, addr)
			exchange(t, c, r, first)
			if name == "head" {
				_, err := io.WriteString(c, "GET / HTTP/1.1\r\n")
				require.NoError(t, err)
			}
			_, err := io.Copy(io.Discard, r)
			require.NoError(t, err, "%s after %s", name, first) // its end
		}
	}
}

// TestWriteDeadline: the deadline of one answer is not that of the next, whoever gives
// it.
func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	const soon = 20 * time.Millisecond
	addr := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/timed" {
			require.NoError(t, http.NewResponseController(w).SetWriteDeadline(time.Now().Add(soon)))
		}
		fmt.Fprint(w, r.Method)
	})})
	for _, next := range []string{"GET", "DELETE"} {
		c, r := dial(t, addr)
		exchange(t, c, r, "GET /timed HTTP/1.1\r\nHost: a\r\n\r\n")
		time.Sleep(2 * soon)
		_, body := exchange(t, c, r, next+" / HTTP/1.1\r\nHost: a\r\n\r\n")
		require.Equal(t, next, body)
	}
}
