package election

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// What a watch finds out about a term.
type finding int

const (
	nothing finding = iota
	ended           // its holder has said so
	dead            // its holder's process is gone
)

// A watch is a connection to the beacon of the office's holder.
//
// It takes for evidence of death that a beacon which it has met is no longer
// there: the connection ended, and whoever answers at its place now, the kernel
// that refuses or another process, is not the holder. A beacon that was never
// met proves nothing, for its address may be wrong; nor does silence, for a
// network or a process can pause.
type watch struct {
	lease    Lease
	findings chan finding // gets one at most
	stop     context.CancelFunc
	stopped  chan struct{}
}

func startWatch(ctx context.Context, l Lease) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{lease: l, findings: make(chan finding, 1), stop: stop, stopped: make(chan struct{})}
	go func() { // owned by close
		defer close(w.stopped)
		if f := w.look(ctx); f != nothing {
			w.findings <- f
		}
	}()
	return w
}

func (w *watch) close() {
	w.stop()
	<-w.stopped
}

const (
	redial    = 20 * time.Millisecond // after the connection to a beacon that was met ended
	redialMax = time.Second           // the wait doubles up to this
)

// look returns what it finds, which is nothing when ctx ends.
func (w *watch) look(ctx context.Context) finding {
	hostPort, instance, ok := parseAddress(w.lease.Address)
	if !ok {
		return nothing
	}
	met, wait := false, redialMax
	for ctx.Err() == nil {
		conn, err := dial(ctx, hostPort)
		if err != nil {
			if met && errors.Is(err, refused) {
				return dead
			}
		} else {
			over, greeting := w.listen(ctx, conn, instance)
			switch {
			case over:
				return ended
			case greeting == instance:
				met, wait = true, redial
			case greeting != "" && met:
				return dead
			}
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, redialMax)
		case <-ctx.Done():
		}
	}
	return nothing
}

// listen reads until the connection ends or the term is over, and returns which
// beacon was at its other end, "" if none.
func (w *watch) listen(ctx context.Context, conn net.Conn, instance string) (over bool, greeting string) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(dialer.Timeout)) // for the greeting; then silence is fine
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		return false, ""
	}
	if greeting = strings.TrimPrefix(lines.Text(), protocol); greeting != instance {
		return false, greeting
	}
	_ = conn.SetReadDeadline(time.Time{})
	for lines.Scan() {
		if f, ok := parseOver(lines.Text()); ok && f == w.lease.Fence {
			return true, greeting
		}
	}
	return false, greeting
}
