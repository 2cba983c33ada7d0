package upkeep

import (
	"context"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
)

// Totals returns the follower that counts each feed's packages, versions and bytes.
func Totals(store *db.Store, office string) *indexing.Follower {
	return &indexing.Follower{Name: "stats", DB: store, Office: office,
		Follow: func(_ context.Context, feedID, after, upto int64) (indexing.Effect, error) {
			return func(ctx context.Context, tx *db.Tx) (int64, error) {
				return upto, tx.AddFeedStats(ctx, feedID, after, upto)
			}, nil
		},
		Rebuild: func(_ context.Context, feedID, _ int64) (indexing.Effect, error) {
			return func(ctx context.Context, tx *db.Tx) (int64, error) {
				return tx.RecountFeed(ctx, feedID)
			}, nil
		},
	}
}
