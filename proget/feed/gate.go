package feed

import (
	"context"
	"time"

	"github.com/proget-go/ha/proget"
)

// A Gate bounds how many costly answers are made at once. It is made with as many places:
// make(Gate, 2).
type Gate chan struct{}

// gatePatience is less than a slow client may keep a place for.
const gatePatience = 10 * time.Second

// Enter waits a while for a place, which Leave gives back. If there is none, it returns
// proget.ErrUnavailable, which says so of answers that are called what.
func (g Gate) Enter(ctx context.Context, what string) error {
	ctx, cancel := context.WithTimeout(ctx, gatePatience)
	defer cancel()
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return proget.WrapError(proget.ErrUnavailable, ctx.Err(), "This server makes as many %s as it can. Try again shortly, or ask for less.", what)
	}
}

// Leave gives a place back.
func (g Gate) Leave() { <-g }
