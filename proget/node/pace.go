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

// What answers carry that set nothing else themselves: whatever a stranger has
// uploaded, a browser runs none of it where people are signed in. The values are all
// answers', and are replaced but not changed.
var (
	contentPolicy = []string{"default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"}
	noSniffing    = []string{"nosniff"}
	noFrames      = []string{"DENY"} // for browsers that know no frame-ancestors
)

// guarded sets what every answer carries, lets no more requests in than the node
// bears, and ends those whose client stands still.
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
			h.Set("Connection", "close") // the connection has no future here
		}
		p := &pacedWriter{ResponseWriter: w, conn: http.NewResponseController(w), idle: n.cfg.DownloadIdle}
		if r.Body != http.NoBody { // what the handler does not read of it, net/http waits for
			_ = p.conn.SetReadDeadline(time.Now().Add(n.cfg.UploadIdle)) // unsupported in tests only
		}
		defer p.extend() // for what is still to be flushed
		defer n.logPanic(r)
		next.ServeHTTP(p, r)
	})
}

// logPanic logs what made a handler panic, which ends the connection: a server's own
// log of such errors is full of what clients do.
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

// probe reports whether the request is one that load balancers or monitoring
// make, which must not take a busy node for a dead one.
func probe(r *http.Request) bool {
	return r.URL.Path == "/health" || strings.HasPrefix(r.URL.Path, "/health/") || r.URL.Path == "/metrics"
}

// refuseMore answers before a request has cost anything, in the plainest form:
// which protocol's it would be is not known yet.
func (n *Node) refuseMore(w http.ResponseWriter, r *http.Request) {
	n.answer(w, r, feed.WriteText, func(http.ResponseWriter, *http.Request) error {
		return proget.Errorf(proget.ErrUnavailable, "This server has %d requests to serve at once, which is as many as it takes. Try again shortly.", n.cfg.MaxRequests)
	})
}

// stretch is of how many bytes an answer a client may take as long as it may stand
// still; so much is handed to the kernel at a time.
const stretch = 256 << 10

// Where the kernel sends a file, longStretch is handed over at a time to a client
// that has taken warmUp, which is more than the buffers on the way hold, and is so
// fast that it would have to become hundreds of times slower to be taken for one that
// stands still.
const longStretch, warmUp = 4 << 20, 16 << 20

// pacedWriter ends an answer whose client does not take it: it moves the
// connection's write deadline ahead with every stretch.
type pacedWriter struct {
	http.ResponseWriter
	conn  *http.ResponseController
	idle  time.Duration
	moved time.Time // when the deadline was moved last
}

// extend moves the deadline, unless that was done just now: it is not free, and a
// small answer would do it for nothing.
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

// ReadFrom implements io.ReaderFrom. The reader may be limited, but only once: the
// kernel sends a file by itself to whom is given a file, or a limited one.
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

// pace is what a client still has of the time that it may keep a server waiting
// for its body: so much at first, and more with every byte.
type pace struct {
	spent time.Duration
	bytes int64
}

// left is how long the next read may wait.
func (p *pace) left(idle time.Duration, rate int64) time.Duration {
	earned := time.Duration(float64(p.bytes) / float64(rate) * float64(time.Second))
	return min(idle, idle+earned-p.spent)
}
