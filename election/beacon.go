package election

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/proget-go/ha/proget"
)

// The protocol of a beacon is lines of text that only the beacon writes:
//
//	proget-election 1 INSTANCE
//	over NUMBER TERM
//
// The first line names the beacon; the others say that this candidate's term with that
// fence has ended in order. Connections stay open as long as the process lives; when it
// dies, the kernel closes them.
const (
	protocol    = "proget-election 1 "
	over        = "over "
	maxLine     = 256
	maxWatchers = 1024
	saying      = time.Second // time after which a watcher that does not take a line is dropped
)

// A Beacon lets the other candidates see that this process is alive, by connections
// that they keep open to it, and tells them when it ceases to lead.
type Beacon struct {
	listener net.Listener
	address  string
	instance string
	serving  sync.WaitGroup

	mu       sync.Mutex
	watchers []net.Conn    // the oldest first
	last     string        // the newest line
	changed  chan struct{} // closed when last changes
	closed   bool
}

// NewBeacon returns a beacon that serves on a TCP listener until Close. The others
// reach it at host or, if host is "", at the listener's own. An unspecified host, such
// as [::], is an error, because it leads everybody to themselves.
func NewBeacon(l net.Listener, host string) (*Beacon, error) {
	if l == nil {
		return nil, errors.New("a beacon needs a listener")
	}
	own, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("a beacon needs a TCP listener: %w", err)
	}
	if host == "" {
		host = own
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		return nil, fmt.Errorf("a beacon needs a host name or address at which the others can reach it; %s is not one", host)
	}
	b := &Beacon{listener: l, instance: rand.Text(), changed: make(chan struct{})}
	b.address = net.JoinHostPort(host, port) + "/" + b.instance
	b.serving.Go(b.accept)
	return b, nil
}

// Address returns host:port/instance: where the others find the beacon, and what
// distinguishes it from a later one of another process at the same place.
func (b *Beacon) Address() string { return b.address }

// Watchers returns how many connections the others keep to the beacon.
func (b *Beacon) Watchers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.watchers)
}

// Close closes the listener and all connections. To the watchers it looks as if the
// process had died. Further calls do nothing.
func (b *Beacon) Close() error {
	err := b.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	b.mu.Lock()
	b.closed = true
	for _, c := range b.watchers {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.serving.Wait()
	return err
}

// end tells all watchers that a term is over.
func (b *Beacon) end(f proget.Fence) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = over + strconv.FormatInt(f.Number, 10) + " " + f.Term + "\n"
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *Beacon) accept() {
	for {
		c, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, most likely
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if !b.admit(c) {
			_ = c.Close()
			continue
		}
		b.serving.Go(func() { b.serve(c) })
	}
}

// admit adds a watcher, and closes the oldest if there are too many: a candidate
// reconnects, and strangers who only hold connections keep nobody out.
func (b *Beacon) admit(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	if len(b.watchers) == maxWatchers {
		_ = b.watchers[0].Close()
		b.watchers = slices.Delete(b.watchers, 0, 1)
	}
	b.watchers = append(b.watchers, c)
	return true
}

// serve writes until the watcher is gone, which it notices only by reading.
func (b *Beacon) serve(c net.Conn) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, c) // watchers send nothing
	}()
	b.say(c, gone)
	_ = c.Close()
	<-gone
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers = slices.DeleteFunc(b.watchers, func(w net.Conn) bool { return w == c })
}

func (b *Beacon) say(c net.Conn, gone <-chan struct{}) {
	for line := protocol + b.instance + "\n"; ; {
		b.mu.Lock()
		last, changed := b.last, b.changed
		b.mu.Unlock()
		_ = c.SetWriteDeadline(time.Now().Add(saying))
		if _, err := io.WriteString(c, line+last); err != nil {
			return
		}
		line = ""
		select {
		case <-changed:
		case <-gone:
			return
		}
	}
}

// parseAddress splits what Beacon.Address returns.
func parseAddress(address string) (hostPort, instance string, ok bool) {
	hostPort, instance, ok = strings.Cut(address, "/")
	return hostPort, instance, ok && hostPort != "" && instance != ""
}

// parseOver parses a line that says which term is over.
func parseOver(line string) (f proget.Fence, ok bool) {
	rest, ok := strings.CutPrefix(line, over)
	number, term, found := strings.Cut(rest, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	return proget.Fence{Number: n, Term: term}, ok && found && err == nil
}

// dialer makes connections that notice within seconds when the machine at the other end
// has restarted.
var dialer = net.Dialer{Timeout: time.Second, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 5}}

func dial(ctx context.Context, hostPort string) (net.Conn, error) {
	return dialer.DialContext(ctx, "tcp", hostPort)
}
