package universal

import (
	"errors"
	"io"

	"github.com/proget-go/ha/indexing"
)

// A pipe reads what a function writes. The function ends before Close or Err
// return.
type pipe struct {
	*io.PipeReader
	done chan struct{}
	err  error
}

// errAbandoned is what the function meets when nobody reads on.
var errAbandoned = errors.New("nobody reads on")

func newPipe(write func(io.Writer) error) *pipe {
	r, w := io.Pipe()
	p := &pipe{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = indexing.Safely(func() error { return write(w) }) // as in a request's own goroutine
		w.CloseWithError(p.err)                                   // nil ends it
	}()
	return p
}

// Close ends the function, if it has not ended.
func (p *pipe) Close() error {
	_ = p.CloseWithError(errAbandoned)
	<-p.done
	return nil
}

// Err returns why the function failed, or nil; that nobody read on is no failure.
func (p *pipe) Err() error {
	_ = p.Close()
	if errors.Is(p.err, errAbandoned) {
		return nil
	}
	return p.err
}
