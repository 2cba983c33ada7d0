package universal

import (
	"context"
	"sync"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// flights are the virtual packages being assembled: each once, however many requests
// wait for it, and only a few at a time.
type flights struct {
	gate feed.Gate

	mu  sync.Mutex
	all map[int64]*flight // by version ID
}

func newFlights() *flights {
	return &flights{gate: make(feed.Gate, 2), all: make(map[int64]*flight)}
}

// A flight is one assembly. Its outcome may be read after done is closed.
type flight struct {
	done      chan struct{}
	file      proget.File
	err       error
	abandoned bool // the request that it was made for gave up, so others must not use the outcome
}

// do returns the file that construct assembles from a version, in this call or in one
// already running. ctx is the request's.
func (f *flights) do(ctx context.Context, id int64, construct func() (proget.File, error)) (proget.File, error) {
	for {
		own, other := f.board(id)
		if own != nil {
			f.fly(ctx, id, own, construct)
			return own.file, own.err
		}
		select {
		case <-other.done:
			if !other.abandoned {
				return other.file, other.err
			}
		case <-ctx.Done():
			return proget.File{}, ctx.Err()
		}
	}
}

// board returns a new flight, or the one already running.
func (f *flights) board(id int64) (own, other *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other = f.all[id]; other != nil {
		return nil, other
	}
	own = &flight{done: make(chan struct{}), abandoned: true} // until it ends in another way
	f.all[id] = own
	return own, nil
}

func (f *flights) fly(ctx context.Context, id int64, own *flight, construct func() (proget.File, error)) {
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.all, id)
		close(own.done)
	}()
	if own.err = f.gate.Enter(ctx, "virtual packages"); own.err == nil {
		defer f.gate.Leave()
		own.file, own.err = construct()
	}
	own.abandoned = ctx.Err() != nil
}
