package live

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestSetbacks: what fails repeatedly is retried less and less often, the more it costs the
// less.
func TestSetbacks(t *testing.T) {
	t.Parallel()
	last := func(err error) time.Duration {
		var b setback
		var pauses []time.Duration
		for range 100 {
			now := time.Now()
			b = b.after(err, now)
			pauses = append(pauses, b.until.Sub(now))
		}
		require.Equal(t, time.Second, pauses[0])
		require.True(t, slices.IsSorted(pauses))
		return pauses[99]
	}
	require.Equal(t, time.Second, last(proget.ErrUnavailable), "the database is asked again soon")
	require.Equal(t, time.Minute, last(fmt.Errorf("write: %w", search.ErrUnwritable)))
	require.Equal(t, 10*time.Minute, last(fmt.Errorf("%w: %w", errRebuild, search.ErrUnwritable)))
}

// TestSetbackOfDeletedFeed: what failed in a feed that is gone is not a failure any more,
// and the next one is logged.
func TestSetbackOfDeletedFeed(t *testing.T) {
	t.Parallel()
	x := New(Config{Types: []feed.Type{{Name: "known"}}})
	kept, gone := &proget.Feed{ID: 1, Type: "known"}, &proget.Feed{ID: 2, Type: "known"}
	require.Error(t, x.settle(gone, proget.ErrUnavailable))
	require.Len(t, x.served([]*proget.Feed{kept, gone}), 2)
	require.True(t, x.failing())
	require.Len(t, x.served([]*proget.Feed{kept}), 1)
	require.False(t, x.failing())
}
