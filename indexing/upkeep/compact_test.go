package upkeep_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/upkeep"
)

// left returns what the feed's log holds.
func (in *installation) left(t *testing.T) (first, last int64) {
	t.Helper()
	all, err := in.db.LogRanges(t.Context())
	require.NoError(t, err)
	for _, r := range all {
		if r.FeedID == in.feed.ID {
			return r.First, r.Last
		}
	}
	return 0, 0
}

// TestCompaction: the log is shortened behind the slowest follower, and what it
// led to stays right; beyond a limit it is shortened before a follower that does
// not come on, which then counts anew.
func TestCompaction(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	lease := db.LeaseRequest{Office: "test", Holder: "a", Term: rand.Text(), TTL: time.Hour}
	fence, _, err := in.db.AcquireLease(t.Context(), lease)
	require.NoError(t, err)
	totals := upkeep.Totals(in.db, "test")
	count := func() db.FeedStats {
		heads, err := in.db.Heads(t.Context())
		require.NoError(t, err)
		require.NoError(t, totals.CatchUp(t.Context(), fence, heads))
		stats, err := in.db.ListFeedStats(t.Context())
		require.NoError(t, err)
		return stats[in.feed.ID]
	}
	compact := func(kept, limit time.Duration) string {
		message, err := run(t, upkeep.NewCompactor(in.db, &upkeep.CompactorOptions{Kept: kept, Limit: limit}), "")
		require.NoError(t, err)
		return message
	}
	for n := range 5 {
		in.mustPush(t, fmt.Sprint(n), fmt.Sprint("a ", n))
	}
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 5, Bytes: 15}, count())
	in.mustPush(t, "5", "a 5")

	compact(time.Hour, 2*time.Hour)
	first, last := in.left(t)
	require.Equal(t, []int64{1, 6}, []int64{first, last}, "all are young")
	require.Contains(t, compact(-time.Hour, time.Hour), "Log entries removed: 5 of ")
	first, last = in.left(t)
	require.Equal(t, []int64{6, 6}, []int64{first, last}, "the totals have not seen the last one")
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 6, Bytes: 18}, count())

	in.mustPush(t, "6", "b 6")
	in.mustPush(t, "7", "b 7")
	compact(-time.Hour, -time.Minute)
	first, last = in.left(t)
	require.Equal(t, []int64{8, 8}, []int64{first, last}, "the limit holds for all but the newest")
	require.Equal(t, db.FeedStats{Packages: 2, Versions: 8, Bytes: 24}, count(), "counted anew")
	in.mustPush(t, "8", "b 8")
	require.Equal(t, db.FeedStats{Packages: 2, Versions: 9, Bytes: 27}, count())
	stats := compact(time.Hour, time.Hour)
	require.Equal(t, "Log entries removed: 0 of "+fmt.Sprint(entriesOf(t, in)), stats)
}

func entriesOf(t *testing.T, in *installation) (n int64) {
	t.Helper()
	all, err := in.db.LogRanges(t.Context())
	require.NoError(t, err)
	for _, r := range all {
		n += r.Last - r.First + 1
	}
	return n
}
