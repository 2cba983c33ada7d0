package direct

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// patience is how long a handler may take before watching its client begins.
const patience = 20 * time.Millisecond

// A watch notices when the client of a request leaves while it is served. It keeps what
// the client sends meanwhile, the next request.
type watch struct {
	from  *net.TCPConn
	timer *time.Timer
	came  chan int // number of bytes that look has read

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

// start begins to watch after patience. If the client has already sent so much that
// space is empty, it is not watched.
func (w *watch) start(space []byte, left func()) {
	w.space, w.left, w.ending = space, left, false
	w.timer.Reset(patience)
}

// stop stops watching and returns how many bytes were read into space.
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

// look runs in the timer's goroutine; stop waits for it.
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

// begin removes the deadline of the request that was read, and reports whether to
// watch.
func (w *watch) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending || len(w.space) == 0 {
		return false
	}
	return w.from.SetReadDeadline(time.Time{}) == nil
}
