package node

import (
	"errors"
	"sync"
)

// A life tracks whether a node runs or is closed, so that Run and Close do not overlap.
type life struct {
	mu      sync.Mutex
	running bool
	closed  bool
}

// begin marks the node as running, or returns an error if it runs already or is closed.
func (l *life) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return errors.New("the node is closed")
	case l.running:
		return errors.New("the node runs already")
	}
	l.running = true
	return nil
}

// end marks the node as not running. Run calls it last.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
}

func (l *life) runs() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

// close marks the node as closed and reports whether this is the first call. It returns
// an error if the node still runs.
func (l *life) close() (first bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		return false, errors.New("the node still runs: end the context of Run, and close the node when Run has returned")
	}
	first = !l.closed
	l.closed = true
	return first, nil
}
