package postgres

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A dialer makes a pool's connections independently of the operations that request
// them: an operation that cannot wait any longer leaves, and its connection goes to the
// next one. Otherwise, if connecting takes longer than operations may, as when all
// clients of a busy server return at once, no operation would ever get a connection,
// and all of them would keep the server busy with attempts.
type dialer struct {
	sqldriver.Connector
	ctx context.Context // of all attempts
	end context.CancelFunc
	all sync.WaitGroup

	connected atomic.Int64 // connections that were made

	mu      sync.Mutex
	waiting []chan dialed // in the order of their requests
	dialing int
	rest    time.Duration    // pause after the last failure, before the next attempt
	kept    []sqldriver.Conn // connections for which nobody waits any longer
}

type dialed struct {
	conn sqldriver.Conn
	err  error
}

// dials is how many connections a pool makes at once: a server forks a process for
// each.
const dials = 4

// unclaimed is how long an unclaimed connection is kept for later requests.
const unclaimed = 5 * time.Second

func newDialer(c sqldriver.Connector) *dialer {
	d := &dialer{Connector: c}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d
}

// errPoolClosed is what requests get once the pool is closed, which does not wait for its
// goroutine that makes them.
var errPoolClosed = errors.New("the connection pool is closed")

// Connect implements driver.Connector.
func (d *dialer) Connect(ctx context.Context) (sqldriver.Conn, error) {
	w := make(chan dialed, 1)
	d.join(w)
	select {
	case got := <-w:
		return got.conn, got.err
	case <-ctx.Done():
		d.leave(w)
		return nil, context.Cause(ctx)
	}
}

func (d *dialer) join(w chan dialed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		w <- dialed{err: errPoolClosed}
		return
	}
	if len(d.kept) > 0 {
		w <- dialed{conn: d.kept[0]}
		d.kept = d.kept[1:]
		return
	}
	d.waiting = append(d.waiting, w)
	d.start()
}

// leave stops waiting, and passes on a connection that has arrived meanwhile.
func (d *dialer) leave(w chan dialed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.waiting, w); i >= 0 {
		d.waiting = slices.Delete(d.waiting, i, i+1)
		return
	}
	d.give(<-w)
}

// start begins an attempt for each waiting request, up to the limit dials.
func (d *dialer) start() {
	for d.ctx.Err() == nil && d.dialing < min(len(d.waiting), dials) {
		d.dialing++
		d.all.Go(d.dial)
	}
}

func (d *dialer) dial() {
	conn, err := d.Connector.Connect(d.ctx) // bounded by the configuration's connect_timeout
	if err == nil {
		d.connected.Add(1) // before anybody uses it
	}
	rest := d.outcome(dialed{conn, err})
	select {
	case <-time.After(rest):
	case <-d.ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialing--
	d.start()
}

// outcome passes on the result of an attempt, and returns how long to pause before the
// next attempt in its place: failed attempts stay in the server's queue, too, where
// each costs a process that only finds out that the client has gone.
func (d *dialer) outcome(got dialed) (rest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.give(got)
	if got.err == nil {
		d.rest = 0
		return 0
	}
	d.rest = min(max(2*d.rest, 25*time.Millisecond), 500*time.Millisecond)
	return d.rest/2 + rand.N(d.rest)
}

func (d *dialer) give(got dialed) {
	if len(d.waiting) > 0 {
		d.waiting[0] <- got
		d.waiting = d.waiting[1:]
		return
	}
	if got.err != nil {
		return
	}
	d.kept = append(d.kept, got.conn)
	time.AfterFunc(unclaimed, func() { d.discard(got.conn) })
}

// discard closes a kept connection if nobody has taken it.
func (d *dialer) discard(conn sqldriver.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.kept, conn); i >= 0 {
		d.kept = slices.Delete(d.kept, i, i+1)
		_ = conn.Close() // nobody has used it
	}
}

// Close cancels the attempts in progress and waits for them. Nobody waits for a connection
// any longer. It implements io.Closer for sql.DB.
func (d *dialer) Close() error {
	d.mu.Lock()
	d.end() // from now on, no attempt begins
	d.mu.Unlock()
	d.all.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waiting {
		w <- dialed{err: errPoolClosed}
	}
	for _, conn := range d.kept {
		_ = conn.Close() // nobody has used it
	}
	d.waiting, d.kept = nil, nil
	return nil
}
