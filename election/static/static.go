// Package static is an election driver for installations with one indexing node:
// whoever asks first leads. It must not be used where two nodes could ask.
package static

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// New returns a driver that keeps its leases in memory. Its fences grow across restarts
// as long as candidates pass the numbers seen, or the machine's clock does not go back.
func New() election.Driver { return &driver{offices: make(map[string]*office)} }

type driver struct {
	mu      sync.Mutex
	offices map[string]*office
}

type office struct {
	election.Lease
	expires time.Time
}

func (o *office) held() bool { return o != nil && time.Now().Before(o.expires) }

func (d *driver) Acquire(_ context.Context, c election.Candidacy) (election.Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := c.Above
	if o := d.offices[c.Office]; o != nil {
		if o.held() && o.Holder != c.Holder && o.Fence != c.Over {
			return election.Lease{}, election.ErrHeld
		}
		last = max(last, o.Fence.Number)
	}
	l := election.Lease{Office: c.Office, Holder: c.Holder, Address: c.Address, TTL: c.TTL,
		Fence: proget.Fence{Number: max(last+1, time.Now().UnixMicro()), Term: rand.Text()}}
	d.offices[c.Office] = &office{l, time.Now().Add(c.TTL)}
	return l, nil
}

func (d *driver) Renew(_ context.Context, l election.Lease) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.offices[l.Office]
	if !o.held() || o.Fence != l.Fence {
		return election.ErrLost
	}
	o.expires = time.Now().Add(l.TTL)
	return nil
}

func (d *driver) Release(_ context.Context, l election.Lease) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.offices[l.Office]; o != nil && o.Fence == l.Fence {
		o.expires = time.Time{}
	}
	return nil
}

func (d *driver) Current(_ context.Context, name string) (election.Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.offices[name]
	if !o.held() {
		return election.Lease{}, election.ErrNone
	}
	l := o.Lease
	l.TTL = time.Until(o.expires)
	return l, nil
}
