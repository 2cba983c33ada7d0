// Package static is an elector's driver for installations of one indexing node:
// whoever asks, leads. It must not be used where two nodes could ask.
package static

import (
	"context"
	"sync"
	"time"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// New returns a driver without memory. Its fences grow across restarts as long
// as the machine's clock does not go back.
func New() election.Driver { return &driver{leases: make(map[string]election.Lease)} }

type driver struct {
	mu     sync.Mutex
	leases map[string]election.Lease
	last   int64
}

func (d *driver) Acquire(_ context.Context, c election.Candidacy) (election.Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if held, ok := d.leases[c.Office]; ok && held.Holder != c.Holder {
		return election.Lease{}, election.ErrHeld
	}
	d.last = max(d.last+1, time.Now().UnixMicro())
	l := election.Lease{Candidacy: c, Fence: proget.Fence{Number: d.last, Term: c.Holder}}
	d.leases[c.Office] = l
	return l, nil
}

func (d *driver) Renew(_ context.Context, l election.Lease) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leases[l.Office].Fence != l.Fence {
		return election.ErrLost
	}
	return nil
}

func (d *driver) Release(_ context.Context, l election.Lease) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leases[l.Office].Fence == l.Fence {
		delete(d.leases, l.Office)
	}
	return nil
}

func (d *driver) Current(_ context.Context, office string) (election.Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l, ok := d.leases[office]; ok {
		return l, nil
	}
	return election.Lease{}, election.ErrNone
}
