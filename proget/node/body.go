package node

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/proget-go/ha/proget"
)

// linger is how long a client may continue to send a body that nobody reads.
const linger = 5 * time.Second

// boundBody returns the request with a bounded body, and that body, or nil if there is
// none. The request is a copy, because net/http must find its own body in the original:
// it would try to read any other to the end.
func (n *Node) boundBody(w http.ResponseWriter, r *http.Request) (*http.Request, *idleReader) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body := &idleReader{ReadCloser: r.Body, conn: http.NewResponseController(w), idle: n.cfg.UploadIdle, rate: n.cfg.UploadRate}
	a := &arrival{began: time.Now()}
	r = r.WithContext(context.WithValue(r.Context(), arrivalKey{}, a))
	r.Body = body
	a.request = r
	return r, body
}

// An arrival is a request whose body arrives while it is answered. It is the value of
// arrivalKey in the request's context.
type arrival struct {
	request *http.Request
	began   time.Time
}

type arrivalKey struct{}

// longArrival is how long a body may take to arrive without its sender being looked at
// again.
const longArrival = time.Second

// guardFeed is the publisher's guard. A request may take long to arrive, and what was
// revoked meanwhile is gone at once: the key or user of its sender, the permission, the
// feed.
func (n *Node) guardFeed(ctx context.Context, feedID int64) error {
	if err := n.guardChange(); err != nil {
		return err
	}
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok || time.Since(a.began) < longArrival {
		return nil
	}
	if err := n.refresh(ctx); err != nil {
		return err
	}
	id, err := n.authority.Authenticate(a.request)
	if err != nil {
		return err
	}
	feeds, err := n.catalog.Feeds(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(feeds, func(f *proget.Feed) bool { return f.ID == feedID && f.Active })
	if i < 0 {
		return proget.Errorf(proget.ErrNotFound, "The feed was deleted or deactivated in the meantime.")
	}
	return n.authority.AuthorizeIn(id, proget.TaskPublish, feeds[i])
}

// idleReader ends an upload that stalls or is too slow ever to finish: it extends the
// connection's read deadline before every read. The time that the server spends between
// reads does not count.
type idleReader struct {
	io.ReadCloser
	conn  *http.ResponseController
	idle  time.Duration
	rate  int64 // bytes per second
	pace  pace
	ended bool // the body was read to its end
}

func (b *idleReader) Read(p []byte) (int, error) {
	if b.ended { // a new deadline would apply to the next request and end this one's context
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

// abandon lets the server send a refusal at once. To keep a connection open, net/http
// would first read the rest of the body, however long it takes to arrive. Over HTTP/2
// this is not necessary.
func (b *idleReader) abandon(w http.ResponseWriter, r *http.Request) {
	if b == nil || b.ended || r.ProtoMajor > 1 {
		return
	}
	w.Header().Set("Connection", "close")
	_ = b.conn.SetReadDeadline(time.Now().Add(linger)) // unsupported in tests only
}

// refusing calls refuse before a page sends a refusal, so that it is sent at once.
type refusing struct {
	http.ResponseWriter
	refuse func()
}

// WriteHeader implements http.ResponseWriter.
func (w *refusing) WriteHeader(status int) {
	if status >= http.StatusBadRequest || status == http.StatusSeeOther { // a redirect may lead to the sign-in page, or follow a body that was read
		w.refuse()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *refusing) Unwrap() http.ResponseWriter { return w.ResponseWriter }
