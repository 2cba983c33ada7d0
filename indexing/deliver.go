package indexing

import (
	"context"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// Deliver takes the next entries of one feed's log, in their order, and returns
// nil once it has given them their effect outside of the database. The same
// entries come again if the process ends, or another leads, before that is
// recorded: Seq and FeedID are the same then.
type Deliver func(ctx context.Context, entries []proget.Entry) error

// deliveries bounds the entries of one delivery.
const deliveries = 100

// NewCourier returns a follower that hands the entries of every log to deliver.
// It begins with what happens after it was first seen, which of a feed made since
// is everything. If deliver failed for as long as the log is kept, the oldest
// entries are lost to it, which the sequence numbers show.
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

// skip goes on where the log begins now or, if nothing is left of it, at its end. That
// is asked for first, so that what happens meanwhile is not passed over.
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

// at is the effect of moving to a position.
func at(position int64) Effect {
	return func(context.Context, *db.Tx) (int64, error) { return position, nil }
}
