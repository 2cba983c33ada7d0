package node

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

// challenging returns an errorWriter that asks for credentials as the type does.
func (n *Node) challenging(t *feed.Type) errorWriter {
	if t.Challenge == nil {
		return t.WriteError
	}
	return func(w http.ResponseWriter, r *http.Request, status int, message string, err error) {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", t.Challenge(n.baseURL(r), r))
		}
		t.WriteError(w, r, status, message, err)
	}
}

// answer calls serve and, if it returns an error, writes the error with write.
func (n *Node) answer(w http.ResponseWriter, r *http.Request, write errorWriter, serve func(http.ResponseWriter, *http.Request) error) {
	r, body := n.boundBody(w, r)
	if err := serve(w, r); err != nil {
		body.abandon(w, r)
		n.fail(w, r, err, write)
	}
}

// errorWriter writes a protocol's own error body.
type errorWriter func(w http.ResponseWriter, r *http.Request, status int, message string, err error)

// fail answers a request that returned an error. What is not meant for clients appears
// in the log only.
func (n *Node) fail(w http.ResponseWriter, r *http.Request, err error, write errorWriter) {
	code := feed.Status(err)
	if r.Context().Err() != nil || errors.Is(err, net.ErrClosed) {
		n.cfg.Logger.DebugContext(r.Context(), "the client went away", "method", r.Method, "path", r.URL.Path, "error", err)
	} else if code >= http.StatusInternalServerError {
		n.cfg.Logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "status", code, "error", err, indexing.Stack(err))
	} else if errors.Is(err, auth.ErrCredentials) {
		n.cfg.Logger.WarnContext(r.Context(), "credentials were refused", "path", r.URL.Path, "remote", r.RemoteAddr, "forwarded", r.Header.Get("X-Forwarded-For"))
	} else {
		n.cfg.Logger.DebugContext(r.Context(), "request refused", "method", r.Method, "path", r.URL.Path, "status", code, "error", err)
	}
	if rec, ok := w.(*recorder); ok && rec.begun {
		panic(http.ErrAbortHandler) // otherwise the error's text would complete the partial response
	}
	describeNoContent(w.Header())
	message := proget.Message(err)
	if message == "" {
		message = "The server failed to answer; its log says why."
	}
	message = strings.ToValidUTF8(message, "\uFFFD") // it may quote the client's input
	switch code {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="ProGet", charset="UTF-8"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(2))
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(auth.RetryAfter(err)))
	}
	write(w, r, code, message, err)
}

// describeNoContent removes what a handler has said of the content that is not sent after
// all: a client or a proxy could keep the error in its place.
func describeNoContent(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Checksum-") {
			delete(h, name)
		}
	}
	for _, name := range []string{"Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding", "Docker-Content-Digest", "Etag", "Last-Modified"} {
		delete(h, name)
	}
}
