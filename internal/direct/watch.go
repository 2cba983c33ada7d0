package direct

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// patience is how long a handler may take before its client is watched.
const patience = 20 * time.Millisecond

// A watch finds out that the client of a request leaves while it is served. What
// the client sends meanwhile, the next request, is kept.
type watch struct {
	from  *net.TCPConn
	timer *time.Timer
	came  chan int // what look has read

	mu     sync.Mutex
	space  []byte
	left   func() // called when the client has left
	ending bool
}

func (w *watch) init(from *net.TCPConn) {
	w.from, w.came = from, make(chan int, 1)
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Stop()
}

// start begins to watch in a while. A client that has already sent so much that
// there is no space for more is not watched.
func (w *watch) start(space []byte, left func()) {
	w.space, w.left, w.ending = space, left, false
	w.timer.Reset(patience)
}

// stop returns how many bytes have come into the space.
func (w *watch) stop() int {
	if w.timer.Stop() {
		return 0
	}
	w.mu.Lock()
	w.ending = true
	_ = w.from.SetReadDeadline(time.Unix(1, 0)) // wakes look; fails on a closed connection only
	w.mu.Unlock()
	return <-w.came
}

// look runs in the timer's goroutine, for which stop waits.
func (w *watch) look() {
	n := 0
	defer func() { w.came <- n }()
	if !w.begin() {
		return
	}
	var err error
	n, err = w.from.Read(w.space)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.left()
	}
}

// begin takes away the deadline for the request that was read.
func (w *watch) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending || len(w.space) == 0 {
		return false
	}
	return w.from.SetReadDeadline(time.Time{}) == nil
}
