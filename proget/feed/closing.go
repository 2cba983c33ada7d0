package feed

import (
	"bufio"
	"bytes"
	"io"
)

// closing reads a form whose last line may follow a bare LF, where RFC 2046 section
// 5.1.1 requires CR LF. NuGet's old clients send that on Mono, where lines end in LF.
// Package multipart would treat that line as part of the file.
type closing struct {
	body *bufio.Reader
	line []byte    // "--boundary--"
	hold int       // how many bytes at the end must be examined
	end  io.Reader // the end of the body, once read
}

func newClosing(body io.Reader, boundary string) *closing {
	line := []byte("--" + boundary + "--")
	return &closing{body: bufio.NewReader(body), line: line, hold: len("\r\n") + len(line) + len("\r\n")}
}

// Read implements io.Reader.
func (c *closing) Read(p []byte) (int, error) {
	if c.end != nil {
		return c.end.Read(p)
	}
	end, err := c.body.Peek(c.hold + 1)
	switch {
	case err == nil:
		return c.body.Read(p[:min(len(p), c.body.Buffered()-c.hold)])
	case err == io.EOF:
		c.end = bytes.NewReader(c.mend(end))
		return c.end.Read(p)
	}
	return c.body.Read(p) // first the bytes that arrived, then the error
}

// mend inserts the missing CR before the last line.
func (c *closing) mend(end []byte) []byte {
	data := bytes.TrimRight(end, "\r\n")
	data, found := bytes.CutSuffix(data, c.line)
	data, bare := bytes.CutSuffix(data, []byte("\n"))
	if !found || !bare || bytes.HasSuffix(data, []byte("\r")) {
		return end
	}
	return append(append(bytes.Clone(data), "\r\n"...), c.line...)
}
