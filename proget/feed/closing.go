package feed

import (
	"bufio"
	"bytes"
	"io"
)

// closing reads a form whose last line may begin after a bare line feed, where
// RFC 2046 section 5.1.1 wants CR LF: so NuGet's old clients end theirs where
// a line ends in LF, that is under Mono, though they begin it with CR LF.
// Package multipart would take that line for a part of the file.
type closing struct {
	body *bufio.Reader
	line []byte    // "--boundary--"
	hold int       // how much of the end is looked at, in bytes
	end  io.Reader // the end of the body, once it was read
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
	return c.body.Read(p) // what came, and then the error
}

// mend gives the last line the line break that it should have.
func (c *closing) mend(end []byte) []byte {
	data := bytes.TrimRight(end, "\r\n")
	data, found := bytes.CutSuffix(data, c.line)
	data, bare := bytes.CutSuffix(data, []byte("\n"))
	if !found || !bare || bytes.HasSuffix(data, []byte("\r")) {
		return end
	}
	return append(append(bytes.Clone(data), "\r\n"...), c.line...)
}
