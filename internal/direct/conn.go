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

// What net/http does with a connection.
const (
	fresh   = iota // is about to read the first request
	idle           // is done with a request
	waiting        // waits for the next one
	busy           // reads or serves one
)

// Where a connection is.
const (
	theirs    = iota // with net/http
	answering        // a request is answered here
	between          // one was
)

// whole is the size of net/http's buffer.
const whole = 4 << 10

// A conn answers simple requests while net/http waits in Read for the next one.
//
// That what is read begins a request is known by three things: net/http has said
// that it is done with the former one, it has set one deadline since, which is that
// for waiting, and it offers the whole of its buffer, so nothing is in it.
type conn struct {
	*net.TCPConn
	of    *connections
	ctx   context.Context
	peer  string
	phase atomic.Int32
	watch watch
	turn  int
	timed bool // there is a write deadline, perhaps of an answer before

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

// Read implements net.Conn. What it returns is not a simple request, or is in the
// middle of one.
func (c *conn) Read(p []byte) (int, error) {
	phase := c.phase.Load()
	if phase == busy { // by whichever goroutine
		return c.TCPConn.Read(p)
	}
	c.phase.Store(busy)
	// A read timeout counts from before the first request until the end of its body,
	// whatever is answered here before.
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
			return 0, io.EOF // net/http would answer any other error, in the middle of an answer that broke off
		}
		if n == 0 {
			n, err = c.TCPConn.Read(p)
		}
		c.yield()
	}
	return n, err
}

// turns is how many requests in a row are answered on a connection while there are
// none on others.
const turns = 16

// yield lets other connections have their turn, once its next request is
// here: before that it changes nothing. A client that is as fast as this
// server would otherwise be served until the scheduler took note of it, 10 ms later.
// Where there is no other, yielding costs as much as a quarter of an answer.
func (c *conn) yield() {
	if c.turn++; c.of.last.Swap(c) != c || c.turn == turns {
		c.turn = 0
		runtime.Gosched()
	}
}

// serve answers the request in p[:used], and moves what p has after it, n in all,
// to the beginning. It returns how much that is.
func (c *conn) serve(r *http.Request, p []byte, n, used int) (rest int, err error) {
	if !c.begin() {
		return 0, net.ErrClosed
	}
	defer func() { // even if the handler panics, which net/http tells of
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

// heads are readers of what is in memory.
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

// simple reports whether a request is served here. All others, and what is wrong
// with them, are net/http's matter.
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

// begin is called before a request is answered.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.with = answering
	return true
}

// end reports whether the request was the last one.
func (c *conn) end() (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.with = between
	return c.closing
}

// last reports whether the request that is being answered is.
func (c *conn) last() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// handOver leaves a request to net/http, and gives it the time for a head whose
// deadline it set before what was answered here.
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

// untime takes away the write deadline that an answer before has left: each takes
// time to set.
func (c *conn) untime() error {
	if !c.timed {
		return nil
	}
	c.timed = false
	return c.SetWriteDeadline(time.Time{})
}

// stop has the connection end with the request that is being answered, at once if
// there is none. net/http would, too, but takes a connection on which it has served
// none for new, and waits 5 s for the first.
func (c *conn) stop() {
	c.mu.Lock()
	c.closing = true
	now := c.with == between
	c.mu.Unlock()
	if now {
		_ = c.Close()
	}
}

// Close implements net.Conn. net/http takes a connection for idle while a request
// is answered here, and closes it when it is shut down: the answer goes first.
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
