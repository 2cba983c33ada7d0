package node

import (
	"io"
	"net/http"
	"time"
)

// linger is how long a client may go on sending a body that nobody reads.
const linger = 5 * time.Second

// boundBody returns the request with its body bounded, and that body, or nil
// if it has none. The request is a copy: net/http must find the body that it
// made, or it takes an unread one for something that it has to read.
func (n *Node) boundBody(w http.ResponseWriter, r *http.Request) (*http.Request, *idleReader) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body := &idleReader{ReadCloser: r.Body, conn: http.NewResponseController(w), idle: n.cfg.UploadIdle, rate: n.cfg.UploadRate}
	r = r.WithContext(r.Context())
	r.Body = body
	return r, body
}

// idleReader ends an upload that stands still, or is so slow that its client does
// not mean it to end: it moves the connection's read deadline ahead with every
// read. What the server does between reads is not the client's time.
type idleReader struct {
	io.ReadCloser
	conn  *http.ResponseController
	idle  time.Duration
	rate  int64 // bytes a second
	pace  pace
	ended bool // the body was read to its end
}

func (b *idleReader) Read(p []byte) (int, error) {
	if b.ended { // a deadline set from here on would be the next request's, and end this one's context
		return 0, io.EOF
	}
	began := time.Now()
	_ = b.conn.SetReadDeadline(began.Add(b.pace.left(b.idle, b.rate))) // unsupported in tests only
	n, err := b.ReadCloser.Read(p)
	b.pace.spent += time.Since(began)
	b.pace.bytes += int64(n)
	b.ended = b.ended || err == io.EOF
	return n, err
}

// abandon lets a refusal be sent at once. A server that means to keep the
// connection reads what is left of a body first, for as long as that takes to
// come; over HTTP/2 there is nothing to keep.
func (b *idleReader) abandon(w http.ResponseWriter, r *http.Request) {
	if b == nil || b.ended || r.ProtoMajor > 1 {
		return
	}
	w.Header().Set("Connection", "close")
	_ = b.conn.SetReadDeadline(time.Now().Add(linger)) // unsupported in tests only
}

// refusing lets a page's refusal be sent at once.
type refusing struct {
	http.ResponseWriter
	refuse func()
}

// WriteHeader implements http.ResponseWriter.
func (w *refusing) WriteHeader(status int) {
	if status >= http.StatusBadRequest || status == http.StatusSeeOther { // to sign in, or after all was read
		w.refuse()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *refusing) Unwrap() http.ResponseWriter { return w.ResponseWriter }
