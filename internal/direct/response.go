package direct

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// holdable is how many bytes of a body are collected before they are sent.
const holdable = 2 << 10

// response answers a simple request. It treats headers as net/http does.
type response struct {
	c      *conn
	r      *http.Request
	header http.Header
	status int // 0 until the handler has set it
	*buffers
	typed   bool // the head needs no Content-Type from here
	dated   bool
	length  int64 // of the body, as the handler has declared; -1 if it has not
	written int64 // of the body
	sent    bool  // the head was sent
	chunked bool
	done    bool  // the handler has returned
	failed  error // why nothing more can be sent; what was sent last may be incomplete
	closing bool  // the connection ends with this response
	timed   bool  // there is a write deadline
}

// buffers are reused when a response is finished.
type buffers struct {
	head []byte // head as sent; what depends on the body comes last
	held []byte // part of the body that was not sent yet
}

var free = sync.Pool{New: func() any { return new(buffers) }}

func newResponse(c *conn, r *http.Request) *response {
	return &response{c: c, r: r, header: make(http.Header), length: -1, buffers: free.Get().(*buffers)}
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// SetReadDeadline is for http.ResponseController. It does nothing, since there is no
// body.
func (w *response) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is for http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.timed, w.c.timed = true, true
	return w.c.SetWriteDeadline(t)
}

// unwritten are the fields that finishHead writes, or that are not sent.
var unwritten = map[string]bool{"Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Trailer": true}

// WriteHeader implements http.ResponseWriter. It does not send informational responses.
func (w *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("%d is not a status of HTTP", status))
	}
	if w.status != 0 || status < http.StatusOK {
		return
	}
	w.status = status
	w.head = append(w.head, "HTTP/1.1 "...)
	w.head = strconv.AppendInt(w.head, int64(status), 10)
	w.head = append(append(append(w.head, ' '), http.StatusText(status)...), "\r\n"...)
	w.fields()
	_, w.typed = w.header["Content-Type"]
	w.typed = w.typed || w.header.Get("Content-Encoding") != "" || !w.hasBody()
	_, w.dated = w.header["Date"]
	w.closing = w.header.Get("Connection") == "close" || w.c.last()
	if declared := w.header.Get("Content-Length"); declared != "" && w.hasBody() {
		if n, err := strconv.ParseInt(declared, 10, 64); err == nil && n >= 0 {
			w.length = n
		}
	}
}

// newlines replaces line breaks, which would end a field, and with it the head, too
// early.
var newlines = strings.NewReplacer("\n", " ", "\r", " ")

// fields appends the header to the head.
func (w *response) fields() {
	for name, values := range w.header {
		if unwritten[name] || name == "Content-Type" && w.status == http.StatusNotModified || !httpguts.ValidHeaderFieldName(name) {
			continue
		}
		for _, v := range values {
			w.head = append(append(w.head, name...), ": "...)
			w.head = append(append(w.head, textproto.TrimString(newlines.Replace(v))...), "\r\n"...)
		}
	}
}

// hasBody reports whether responses with this status have a body; RFC 9110 section
// 6.4.1.
func (w *response) hasBody() bool {
	return w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if len(p) == 0 {
		return 0, nil
	}
	if !w.hasBody() {
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	if w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	if w.written != w.length && len(w.held)+len(p) <= holdable {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	if err := w.send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadFrom implements io.ReaderFrom, so that the kernel can send a file.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if w.length < 0 || !w.typed || w.r.Method == http.MethodHead { // also if the head is not written yet: src may still fail
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if err := w.send(nil); err != nil {
		return 0, err
	}
	n, err := w.c.TCPConn.ReadFrom(src)
	w.written += n
	w.failed = err
	return n, err
}

// FlushError is for http.ResponseController.
func (w *response) FlushError() error {
	w.WriteHeader(http.StatusOK)
	return w.send(nil)
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() } // the next Write returns an error

// send sends the head, unless it was sent, what is held, and p, small parts in one
// buffer.
func (w *response) send(p []byte) error {
	if w.failed != nil {
		return w.failed
	}
	if !w.timed {
		if w.failed = w.c.untime(); w.failed != nil {
			return w.failed
		}
	}
	out, end := w.head[:0], ""
	if !w.sent {
		w.finishHead(p)
		w.sent, out = true, w.head
	}
	var large []byte
	if n := len(w.held) + len(p); n > 0 && w.r.Method != http.MethodHead {
		if w.chunked {
			out, end = append(strconv.AppendInt(out, int64(n), 16), "\r\n"...), "\r\n"
		}
		out = append(out, w.held...)
		if len(p) > holdable {
			large = p
		} else {
			out = append(out, p...)
		}
	}
	if w.chunked && w.done {
		end += "0\r\n\r\n"
	}
	w.held, w.head = w.held[:0], out[:0]
	if large != nil {
		pieces := net.Buffers{out, large, []byte(end)}
		_, w.failed = pieces.WriteTo(w.c.TCPConn)
	} else if out = append(out, end...); len(out) > 0 {
		_, w.failed = w.c.TCPConn.Write(out)
	}
	return w.failed
}

// finishHead adds the fields that depend on the body, which begins with held and p.
func (w *response) finishHead(p []byte) {
	if !w.dated {
		w.head = time.Now().UTC().AppendFormat(append(w.head, "Date: "...), http.TimeFormat+"\r\n")
	}
	if !w.typed && len(w.held)+len(p) > 0 {
		sniffed := append(w.held[:len(w.held):len(w.held)], p[:min(len(p), 512)]...)
		w.head = append(append(append(w.head, "Content-Type: "...), http.DetectContentType(sniffed)...), "\r\n"...)
	}
	switch {
	case w.length >= 0:
		w.head = strconv.AppendInt(append(w.head, "Content-Length: "...), w.length, 10)
		w.head = append(w.head, "\r\n"...)
	case w.hasBody() && w.r.Method != http.MethodHead:
		w.chunked = true
		w.head = append(w.head, "Transfer-Encoding: chunked\r\n"...)
	}
	if w.closing {
		w.head = append(w.head, "Connection: close\r\n"...)
	}
	w.head = append(w.head, "\r\n"...)
}

// finish ends the response. After an error the connection must end, too.
func (w *response) finish() error {
	w.WriteHeader(http.StatusOK)
	if !w.sent && w.length < 0 && w.hasBody() && (w.written > 0 || w.r.Method != http.MethodHead) {
		w.length = w.written // the whole body is held
	}
	w.done = true
	err := w.send(nil)
	free.Put(w.buffers)
	w.buffers = nil
	switch {
	case err != nil:
		return err
	case w.closing, w.length >= 0 && w.written != w.length && w.r.Method != http.MethodHead:
		return io.EOF
	}
	return nil
}
