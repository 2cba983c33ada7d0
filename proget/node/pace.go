package node

import (
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Default header values for responses that do not set their own: a browser must not run
// anything that a stranger has uploaded where people are signed in. All responses share
// the values, so they may be replaced but not modified.
var (
	contentPolicy = []string{"default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"}
	noSniffing    = []string{"nosniff"}
	noFrames      = []string{"DENY"} // for browsers without support for frame-ancestors
)

// guarded sets the default headers, limits the number of requests and ends those whose
// client stalls.
func (n *Node) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Security-Policy"], h["X-Content-Type-Options"], h["X-Frame-Options"] = contentPolicy, noSniffing, noFrames
		if !probe(r) {
			defer n.flying.Add(-1)
			if n.flying.Add(1) > int64(n.cfg.MaxRequests) {
				n.refuseMore(w, r)
				return
			}
		}
		if n.serving.Err() != nil {
			h.Set("Connection", "close") // the server is closing its connections
		}
		p := &pacedWriter{ResponseWriter: w, conn: http.NewResponseController(w), idle: n.cfg.DownloadIdle}
		if r.Body != http.NoBody { // net/http waits for what the handler leaves unread
			_ = p.conn.SetReadDeadline(time.Now().Add(n.cfg.UploadIdle)) // unsupported in tests only
		}
		defer p.extend() // for data that is still to be flushed
		defer n.logPanic(r)
		next.ServeHTTP(p, r)
	})
}

// logPanic logs the panic of a handler and ends the connection. net/http would log it
// among many errors that clients cause.
func (n *Node) logPanic(r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause != http.ErrAbortHandler {
		n.cfg.Logger.ErrorContext(r.Context(), "a request made the server panic", "method", r.Method, "path", r.URL.Path, "panic", cause, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// probe reports whether the request comes from a load balancer or monitoring, which
// must not take a busy node for a dead one.
func probe(r *http.Request) bool {
	return r.URL.Path == "/health" || strings.HasPrefix(r.URL.Path, "/health/") || r.URL.Path == "/metrics"
}

// refuseMore refuses a request before it has cost anything. It answers in plain text,
// because the protocol is not known yet.
func (n *Node) refuseMore(w http.ResponseWriter, r *http.Request) {
	n.answer(w, r, feed.WriteText, func(http.ResponseWriter, *http.Request) error {
		return proget.Errorf(proget.ErrUnavailable, "This server is busy: it is already serving %d requests, its limit. Try again shortly.", n.cfg.MaxRequests)
	})
}

// stretch is the number of bytes of a response that a client must take within
// DownloadIdle, and that is handed to the kernel at a time.
const stretch = 256 << 10

// When the kernel sends a file, longStretch is handed over at a time once the client
// has taken warmUp, which is more than all buffers on the way hold, provided that it is
// fast: it would have to become hundreds of times slower to be mistaken for one that
// stalls.
const longStretch, warmUp = 4 << 20, 16 << 20

// pacedWriter ends a response that its client does not take: it extends the
// connection's write deadline with every stretch.
type pacedWriter struct {
	http.ResponseWriter
	conn  *http.ResponseController
	idle  time.Duration
	moved time.Time // when the deadline was last extended
}

// extend extends the deadline, unless it has just done so: extending is not free, and
// most small responses would do it for nothing.
func (w *pacedWriter) extend() {
	now := time.Now()
	if now.Sub(w.moved) < w.idle/20 {
		return
	}
	w.moved = now
	_ = w.conn.SetWriteDeadline(now.Add(w.idle)) // unsupported in tests only
}

// FlushError is for http.ResponseController.
func (w *pacedWriter) FlushError() error {
	w.extend()
	return w.conn.Flush()
}

// Write implements http.ResponseWriter.
func (w *pacedWriter) Write(p []byte) (written int, err error) {
	for {
		w.extend()
		n, err := w.ResponseWriter.Write(p[:min(len(p), stretch)])
		written += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return written, err
		}
	}
}

// ReadFrom implements io.ReaderFrom. It wraps the reader in at most one
// io.LimitedReader, because the kernel can send only a file or a file that is limited
// once.
func (w *pacedWriter) ReadFrom(src io.Reader) (sum int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	whole, limited := src.(*io.LimitedReader)
	for next := int64(stretch); ; {
		w.extend()
		part := &io.LimitedReader{R: src, N: next}
		if limited {
			part.R, part.N = whole.R, min(whole.N, next)
		}
		asked, began := part.N, time.Now()
		n, err := to.ReadFrom(part)
		sum += n
		next = stretch
		if rate := float64(n) / time.Since(began).Seconds(); sum > warmUp && rate*w.idle.Seconds() > 256*longStretch {
			next = longStretch
		}
		if limited {
			whole.N -= n
		}
		if err != nil || n < asked || limited && whole.N == 0 {
			return sum, err
		}
	}
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// pace computes how long a client may still keep the server waiting for its body: an
// initial allowance, plus some time for every byte.
type pace struct {
	spent time.Duration
	bytes int64
}

// left returns how long the next read may wait.
func (p *pace) left(idle time.Duration, rate int64) time.Duration {
	earned := time.Duration(float64(p.bytes) / float64(rate) * float64(time.Second))
	return min(idle, idle+earned-p.spent)
}
