package universal

import (
	"errors"
	"io"

	"github.com/proget-go/ha/indexing"
)

// A pipe lets a caller read what a function writes. Close and Err wait for the function
// to end.
type pipe struct {
	*io.PipeReader
	done chan struct{}
	err  error
}

// errAbandoned is the function's write error after the reader has stopped.
var errAbandoned = errors.New("nobody reads on")

func newPipe(write func(io.Writer) error) *pipe {
	r, w := io.Pipe()
	p := &pipe{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = indexing.Safely(func() error { return write(w) }) // a panic must not end the process, as in a request's own goroutine
		w.CloseWithError(p.err)                                   // nil means the end of the data
	}()
	return p
}

// Close stops the function, if it has not ended.
func (p *pipe) Close() error {
	_ = p.CloseWithError(errAbandoned)
	<-p.done
	return nil
}

// Err returns the function's error. It returns nil if the function only failed because
// the reader stopped.
func (p *pipe) Err() error {
	_ = p.Close()
	if errors.Is(p.err, errAbandoned) {
		return nil
	}
	return p.err
}
