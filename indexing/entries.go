package indexing

import (
	"context"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A History reads the entries of the feeds' logs. *db.Store is one.
type History interface {
	LogAfter(ctx context.Context, feedID, after int64, limit int) ([]proget.Entry, error)
}

// Entries returns the next entries of a feed's log after a position, at most limit. It
// returns [db.ErrCompacted] if the next one is missing; call it only if the log is
// known to have grown beyond the position.
func Entries(ctx context.Context, h History, feedID, after int64, limit int) ([]proget.Entry, error) {
	entries, err := h.LogAfter(ctx, feedID, after, limit)
	if err == nil && (len(entries) == 0 || entries[0].Seq != after+1) {
		return nil, db.ErrCompacted
	}
	return entries, err
}
