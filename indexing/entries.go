package indexing

import (
	"context"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A History has the entries of the feeds' logs. *db.Store is one.
type History interface {
	LogAfter(ctx context.Context, feedID, after int64, limit int) ([]proget.Entry, error)
}

// Entries returns the next entries of a feed's log after a position, limit at most. It
// returns [db.ErrCompacted] if the one that comes next is not there: whoever asks knows
// that the log has gone on.
func Entries(ctx context.Context, h History, feedID, after int64, limit int) ([]proget.Entry, error) {
	entries, err := h.LogAfter(ctx, feedID, after, limit)
	if err == nil && (len(entries) == 0 || entries[0].Seq != after+1) {
		return nil, db.ErrCompacted
	}
	return entries, err
}
