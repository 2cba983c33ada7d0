package node

import (
	"errors"
	"sync"
)

// A life is what of a node is under way, so that Run and Close keep out of each
// other's way.
type life struct {
	mu      sync.Mutex
	running bool
	closed  bool
}

// begin is called when Run begins.
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

// end is called when Run has done all it does.
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

// close reports whether there is anything to close.
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
