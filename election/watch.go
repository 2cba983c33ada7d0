package election

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// A finding is what a watch finds out about a term.
type finding int

const (
	nothing finding = iota
	ended           // its holder has announced its end
	dead            // its holder's process is gone
)

// A watch is a connection to the beacon of the office's holder.
//
// It takes as proof of death that a beacon it has met is gone: the connection ended,
// and at its address there is now a kernel that refuses, or another process. A beacon
// that was never met proves nothing, for its address may be wrong; nor does silence,
// for a network or a process can pause.
type watch struct {
	lease    Lease
	findings chan finding // receives at most one
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
	redial    = 20 * time.Millisecond // wait after the connection to a known beacon ended
	redialMax = time.Second           // the wait doubles up to this
)

// look returns what it finds: nothing if ctx ends first.
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

// listen reads until the connection ends or the term is over. It returns the instance
// of the beacon at the other end, or "" if there is none.
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
