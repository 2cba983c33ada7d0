package direct

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// States of a connection in net/http.
const (
	fresh   = iota // before the first request
	idle           // a request is done
	waiting        // waits for the next request
	busy           // reads or serves a request
)

// Who has a connection.
const (
	theirs    = iota // net/http
	answering        // this package, which answers a request
	between          // this package, which has answered one
)

// whole is the size of net/http's buffer.
const whole = 4 << 10

// A conn answers simple requests while net/http waits in Read for the next one.
//
// It knows by three signs that the bytes read begin a request: net/http has said that
// the former one is done, it has since set exactly one deadline, the one for waiting,
// and it offers its whole buffer, which is therefore empty.
type conn struct {
	*net.TCPConn
	of    *connections
	ctx   context.Context
	peer  string
	phase atomic.Int32
	watch watch
	turn  int
	timed bool // a write deadline is set, perhaps by an earlier response

	mu      sync.Mutex
	with    int  // theirs, answering or between
	closing bool // no further request is answered
}

// state follows http.Server's ConnState.
func (c *conn) state(s http.ConnState) {
	switch s {
	case http.StateIdle:
		c.phase.Store(idle)
	case http.StateHijacked:
		c.of.forget(c)
	}
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	switch c.phase.Load() {
	case idle:
		c.phase.Store(waiting)
	case waiting:
		c.phase.Store(busy)
	}
	return c.TCPConn.SetReadDeadline(t)
}

// Read implements net.Conn. It returns only bytes that are not a simple request, or
// that continue a request.
func (c *conn) Read(p []byte) (int, error) {
	phase := c.phase.Load()
	if phase == busy { // any goroutine may read
		return c.TCPConn.Read(p)
	}
	c.phase.Store(busy)
	// A read timeout lasts from before the first request until the end of its body, so
	// answering requests here first would use it up.
	if phase == idle || len(p) != whole || phase == fresh && c.of.server.ReadTimeout > 0 {
		return c.TCPConn.Read(p)
	}
	n, err := c.TCPConn.Read(p)
	for err == nil {
		r, used := parse(p[:n])
		if r == nil {
			return n, c.handOver()
		}
		if n, err = c.serve(r, p, n, used); err != nil {
			return 0, io.EOF // net/http would answer any other error in the middle of a truncated response
		}
		if n == 0 {
			n, err = c.TCPConn.Read(p)
		}
		c.yield()
	}
	return n, err
}

// turns is how many consecutive requests are answered on a connection without a yield
// while no other connection has any.
const turns = 16

// yield lets other connections run when this one's next request has arrived; earlier it
// would change nothing. Otherwise a client as fast as this server would be served alone
// until the scheduler intervenes after 10 ms. Without other connections, yielding costs
// a quarter of a response, so it is rarer then.
func (c *conn) yield() {
	if c.turn++; c.of.last.Swap(c) != c || c.turn == turns {
		c.turn = 0
		runtime.Gosched()
	}
}

// serve answers the request in p[:used]. It moves the rest of the n bytes, and what
// came meanwhile, to the beginning of p, and returns the length.
func (c *conn) serve(r *http.Request, p []byte, n, used int) (rest int, err error) {
	if !c.begin() {
		return 0, net.ErrClosed
	}
	defer func() { // even if the handler panics, which net/http reports
		if c.end() && err == nil {
			rest, err = 0, io.EOF
		}
	}()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	r = r.WithContext(ctx)
	r.RemoteAddr = c.peer
	w := newResponse(c, r)
	if d := c.of.server.WriteTimeout; d > 0 {
		_ = w.SetWriteDeadline(after(d)) // fails on a closed connection only
	}
	c.watch.start(p[n:], cancel)
	came := 0
	func() {
		defer func() { came = c.watch.stop() }()
		c.of.handler().ServeHTTP(w, r)
	}()
	if err := w.finish(); err != nil {
		return 0, err
	}
	return copy(p, p[used:n+came]), c.TCPConn.SetReadDeadline(after(c.of.idleTimeout()))
}

// heads holds readers of bytes in memory for reuse.
var heads = sync.Pool{New: func() any { return new(head) }}

type head struct {
	bytes.Reader
	lines bufio.Reader
}

// parse returns the request that p begins with and its length, or nil if it is not
// a simple one.
func parse(p []byte) (*http.Request, int) {
	if !bytes.HasPrefix(p, []byte("GET /")) && !bytes.HasPrefix(p, []byte("HEAD /")) {
		return nil, 0
	}
	from := heads.Get().(*head)
	defer heads.Put(from)
	from.Reset(p)
	from.lines.Reset(&from.Reader)
	r, err := http.ReadRequest(&from.lines)
	if err != nil || !simple(r) {
		return nil, 0
	}
	return r, len(p) - from.Len() - from.lines.Buffered()
}

// simple reports whether a request is served here. net/http serves all others, and
// reports what is wrong with them.
func simple(r *http.Request) bool {
	if httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") {
		return false // the handler may want the connection
	}
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Body != http.NoBody || r.Close || r.Host == "" || !httpguts.ValidHostHeader(r.Host) {
		return false
	}
	for name, values := range r.Header {
		switch name {
		case "Expect", "Upgrade":
			return false
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return false
			}
		}
	}
	return true
}

// begin marks a request as being answered, and returns false if the connection is
// closing.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.with = answering
	return true
}

// end marks the request as answered, and reports whether it was the last one.
func (c *conn) end() (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.with = between
	return c.closing
}

// last reports whether the current request is the last one.
func (c *conn) last() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// handOver leaves a request to net/http. If requests were answered here before, it
// renews the deadline for the request's head, which net/http set before those.
func (c *conn) handOver() error {
	c.mu.Lock()
	before := c.with
	c.with = theirs
	c.mu.Unlock()
	if before == theirs {
		return nil
	}
	if err := c.untime(); err != nil {
		return err
	}
	return c.TCPConn.SetReadDeadline(after(c.of.headTimeout()))
}

// untime removes the write deadline that an earlier response has left, if any, since
// each change takes time.
func (c *conn) untime() error {
	if !c.timed {
		return nil
	}
	c.timed = false
	return c.SetWriteDeadline(time.Time{})
}

// stop makes the connection end with the current request, or at once if there is none.
// net/http would do so too, but it considers a connection without requests served by
// itself new, and waits 5 s for the first.
func (c *conn) stop() {
	c.mu.Lock()
	c.closing = true
	now := c.with == between
	c.mu.Unlock()
	if now {
		_ = c.Close()
	}
}

// Close implements net.Conn. On shutdown, net/http closes connections that it considers
// idle, even while a request is answered here; that response is completed first.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closing = true
	now := c.with != answering
	c.mu.Unlock()
	if !now {
		return nil // net/http closes again when Read has returned
	}
	c.of.forget(c)
	return c.TCPConn.Close()
}
