package indexing

import (
	"context"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// Deliver receives the next entries of one feed's log, in their order, and returns nil
// once it has applied them outside the database. If it returns an error, or if the
// process ends or another node becomes the leader before the new position is recorded,
// the same entries come again, with the same FeedID and Seq.
type Deliver func(ctx context.Context, entries []proget.Entry) error

// deliveries is the maximum number of entries in one delivery.
const deliveries = 100

// NewCourier returns a follower that passes the entries of every log to deliver. It
// begins with what happens after its first run; of feeds created since, it passes on
// everything. If deliver fails for as long as the log is kept, the oldest entries are
// lost to it, which a gap in the sequence numbers shows.
func NewCourier(name string, store *db.Store, office string, deliver Deliver) *Follower {
	c := courier{store, deliver}
	return &Follower{Name: name, DB: store, Office: office, Follow: c.follow, Rebuild: c.skip, fromNow: true}
}

type courier struct {
	db      *db.Store
	deliver Deliver
}

func (c courier) follow(ctx context.Context, feedID, after, upto int64) (Effect, error) {
	entries, err := Entries(ctx, c.db, feedID, after, int(min(upto-after, deliveries)))
	if err != nil {
		return nil, err
	}
	if err := c.deliver(ctx, entries); err != nil {
		return nil, err
	}
	return at(entries[len(entries)-1].Seq), nil
}

// skip continues at the present beginning of the log or, if the log is empty, at its
// end. It reads the end first, so that it does not skip what happens meanwhile.
func (c courier) skip(ctx context.Context, feedID, position int64) (Effect, error) {
	heads, err := c.db.Heads(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := c.db.LogAfter(ctx, feedID, position, 1)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return at(entries[0].Seq - 1), nil
	}
	return at(heads[feedID]), nil
}

// at returns the effect that only moves to a position.
func at(position int64) Effect {
	return func(context.Context, *db.Tx) (int64, error) { return position, nil }
}
