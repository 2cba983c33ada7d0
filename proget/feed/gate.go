package feed

import (
	"context"
	"time"

	"github.com/proget-go/ha/proget"
)

// A Gate bounds how many costly responses a server prepares at once. Its capacity is
// the number of places: make(Gate, 2).
type Gate chan struct{}

// gatePatience is shorter than a slow client may occupy a place.
const gatePatience = 10 * time.Second

// Enter waits up to 10 seconds for a place, which the caller gives back with Leave. If
// there is none, it returns proget.ErrUnavailable with a message about responses called
// what.
func (g Gate) Enter(ctx context.Context, what string) error {
	ctx, cancel := context.WithTimeout(ctx, gatePatience)
	defer cancel()
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return proget.WrapError(proget.ErrUnavailable, ctx.Err(), "This server is busy preparing other %s. Try again shortly, or ask for less.", what)
	}
}

// Leave gives a place back.
func (g Gate) Leave() { <-g }
