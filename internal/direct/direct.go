// Package direct answers simple requests on the goroutine that reads them: HTTP/1.1
// requests without a body whose head arrives in one piece. net/http, which owns the
// connections, serves all other requests on them.
//
// For each request, net/http has a goroutine read ahead to notice a client that leaves,
// and wakes it again to stop it; and it sends a longer response in pieces. For a
// document in memory, that is most of the cost. Here the connection's goroutine calls
// the handler and writes the response in one piece, and only a slow handler's client is
// watched.
package direct

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Serve serves until ctx ends, and closes the listener. From then on it accepts no
// connection, gives pending requests the time grace to finish, and then cuts off the
// rest and returns an error. A server can be used once. Only ctx may shut it down,
// since its own Shutdown would cut off what this package answers. If it has a
// TLSConfig, Serve speaks TLS, also on a plain TCP listener.
//
// When this package answers a request, the handler cannot take over the connection or
// send trailers, informational responses or its own transfer codings; requests for an
// upgrade go to net/http. Two other things differ from net/http: ConnState is not
// called for requests answered here, and SetKeepAlivesEnabled does not end their
// connections.
func Serve(ctx context.Context, server *http.Server, l net.Listener, grace time.Duration) error {
	if server == nil || l == nil {
		return errors.New("to serve takes an http.Server and a listener")
	}
	open := accept(server, l)
	failed := make(chan error, 1)
	go func() { failed <- open.serve() }()
	select {
	case err := <-failed:
		return errors.Join(err, server.Close(), open.cut())
	case <-ctx.Done():
	}
	end, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer done()
	err := server.Shutdown(end)
	<-failed // Shutdown makes it return
	select {
	case <-open.gone:
	case <-end.Done():
	}
	if end.Err() == nil {
		return err
	}
	return errors.Join(end.Err(), server.Close(), open.cut())
}

// Listener wraps l for a server that somebody else starts and stops, such as
// [net/http/httptest].
func Listener(server *http.Server, l net.Listener) net.Listener { return accept(server, l) }

// connections holds the open connections that were accepted.
type connections struct {
	net.Listener
	server *http.Server
	last   atomic.Pointer[conn] // on which a request was answered

	mu       sync.Mutex
	all      map[*conn]struct{}
	stopping bool
	gone     chan struct{} // closed when stopping and no connection is left
	once     sync.Once
}

// accept wraps l, and adds this package's hooks to the server's.
func accept(server *http.Server, l net.Listener) *connections {
	o := &connections{Listener: l, server: server, all: make(map[*conn]struct{}), gone: make(chan struct{})}
	connContext, connState := server.ConnContext, server.ConnState
	server.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, nc)
		}
		if c, ok := nc.(*conn); ok {
			c.ctx = context.WithValue(ctx, http.LocalAddrContextKey, c.LocalAddr())
		}
		return ctx
	}
	server.ConnState = func(nc net.Conn, state http.ConnState) {
		if c, ok := nc.(*conn); ok {
			c.state(state)
		}
		if connState != nil {
			connState(nc, state)
		}
	}
	server.RegisterOnShutdown(o.stop)
	return o
}

// serve calls http.Server's Serve, or ServeTLS for a TLSConfig on a plain TCP listener.
func (o *connections) serve() error {
	if _, plain := o.Listener.(*net.TCPListener); plain && o.server.TLSConfig != nil {
		return o.server.ServeTLS(o.Listener, "", "")
	}
	return o.server.Serve(o)
}

// handler returns the server's handler, or net/http's default.
func (o *connections) handler() http.Handler {
	if o.server.Handler == nil {
		return http.DefaultServeMux
	}
	return o.server.Handler
}

// Accept implements net.Listener.
func (o *connections) Accept() (net.Conn, error) {
	nc, err := o.Listener.Accept()
	tcp, ok := nc.(*net.TCPConn)
	if err != nil || !ok {
		return nc, err // TLS, or another network
	}
	c := &conn{TCPConn: tcp, of: o, peer: tcp.RemoteAddr().String()}
	c.watch.init(tcp)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[c], c.closing = struct{}{}, o.stopping
	return c, nil
}

// forget removes a connection that was closed or hijacked.
func (o *connections) forget(c *conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, c)
	o.last.CompareAndSwap(c, nil)
	o.look()
}

// look closes gone if stopping and no connection is left. One may still be accepted
// afterwards. The caller holds the lock.
func (o *connections) look() {
	if o.stopping && len(o.all) == 0 {
		o.once.Do(func() { close(o.gone) })
	}
}

// stop ends all connections that net/http does not have; it ends its own.
func (o *connections) stop() {
	for _, c := range o.halt() {
		c.stop()
	}
}

// halt sets stopping and returns the connections; later ones end by themselves.
func (o *connections) halt() []*conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopping = true
	o.look()
	return slices.Collect(maps.Keys(o.all))
}

// cut closes all connections at once.
func (o *connections) cut() error {
	var errs []error
	for _, c := range o.halt() {
		errs = append(errs, c.TCPConn.Close())
	}
	return errors.Join(errs...)
}

// idleTimeout returns how long a connection may wait for a request; 0 means forever.
func (o *connections) idleTimeout() time.Duration {
	return cmp.Or(o.server.IdleTimeout, o.server.ReadTimeout)
}

// headTimeout returns how long a request's head may take to arrive; 0 means forever.
func (o *connections) headTimeout() time.Duration {
	return cmp.Or(o.server.ReadHeaderTimeout, o.server.ReadTimeout)
}

// after returns the deadline of what may take d; none if d is 0 or less.
func after(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
