package searchtest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
)

// testFeeds: a feed sees nothing of another, not even one whose number begins
// like its own.
func testFeeds(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, named("Acme.One"))
	update(t, x, 11, 1, named("Acme.Eleven"), named("Shared"))
	update(t, x, 2, 1, named("Shared"))
	require.Equal(t, []string{"acme.one"}, text(t, x, "acme"))
	require.Equal(t, []string{"acme.one"}, find(t, x, search.Query{}))
	require.Empty(t, text(t, x, "shared"))
	require.Empty(t, text(t, x, "elevem"))
	hits, err := x.Search(t.Context(), search.Query{FeedID: 99, Text: "acme"})
	require.NoError(t, err)
	require.Zero(t, hits)
}

func testChanges(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, described("Acme", "once"), named("Other"))
	update(t, x, 1, 2, described("Acme", "twice", "thing"))
	require.Empty(t, text(t, x, "once"))
	require.Equal(t, []string{"acme"}, text(t, x, "twice"))
	require.Equal(t, []string{"acme", "other"}, find(t, x, search.Query{}))
	require.NoError(t, x.Update(t.Context(), 1, []search.Change{{Key: "acme"}, {Key: "never.there"}}, 2, 3, ""))
	require.Empty(t, text(t, x, "acme"))
	require.Empty(t, find(t, x, search.Query{Tag: "thing"}))
	require.Equal(t, []string{"other"}, find(t, x, search.Query{}))
	update(t, x, 1, 4, described("Acme", "again"))
	require.Equal(t, []string{"acme"}, text(t, x, "again"))
}

func testPositions(t *testing.T, open Open) {
	x := opened(t, open)
	position, moved := x.Position(1)
	require.Zero(t, position)
	update(t, x, 1, 7, named("Acme"))
	<-moved
	position, moved = x.Position(1)
	require.EqualValues(t, 7, position)
	other, _ := x.Position(2)
	require.Zero(t, other)
	update(t, x, 2, 1<<40)
	<-moved
	other, _ = x.Position(2)
	require.EqualValues(t, 1<<40, other)
	update(t, x, 1, -3, named("Acme.B"))
	position, _ = x.Position(1)
	require.EqualValues(t, -3, position, "not complete any more")
	late := []search.Change{{Key: "acme"}, {Key: "acme.b"}}
	require.Empty(t, x.Operation(1))
	for _, from := range []int64{7, 0, 8} {
		require.ErrorIs(t, x.Update(t.Context(), 1, late, from, 9, ""), search.ErrRebuilding)
	}
	require.ErrorIs(t, x.Update(t.Context(), 3, late, 7, 9, ""), search.ErrRebuilding, "of a feed that was lost")
	require.Len(t, text(t, x, "acme"), 2, "nothing has changed")
}

func testReset(t *testing.T, open Open) {
	x := open(t)
	for n := range 3 {
		var documents []search.Document
		for i := range 700 {
			documents = append(documents, named(fmt.Sprintf("Acme.N%d.P%d", n, i)))
		}
		update(t, x, 1, int64(n), documents...)
	}
	update(t, x, 2, 5, named("Acme.Kept"))
	require.NoError(t, x.Reset(t.Context(), 1))
	require.NoError(t, x.Reset(t.Context(), 77), "never there")
	position, _ := x.Position(1)
	require.Zero(t, position)
	require.Empty(t, text(t, x, "acme"))
	require.Empty(t, find(t, x, search.Query{}))
	require.NoError(t, x.Close())
	x = opened(t, open)
	require.Empty(t, text(t, x, "acme"))
	hits, err := x.Search(t.Context(), search.Query{FeedID: 2, Text: "acme"})
	require.NoError(t, err)
	require.Equal(t, 1, hits.Total)
}

// testReopen: what was updated is there after a restart, with its position.
func testReopen(t *testing.T, open Open) {
	x := open(t)
	pre := named("Acme.Pre")
	pre.Stable = false
	update(t, x, 1, 3, named("Acme.Gone"), named("Acme.Kept"), pre)
	require.NoError(t, x.Update(t.Context(), 1, []search.Change{{Key: "acme.gone"}}, 3, 4, "operation"))
	update(t, x, 2, 9)
	require.NoError(t, x.Close())
	x = opened(t, open)
	position, _ := x.Position(1)
	require.EqualValues(t, 4, position)
	require.Equal(t, "operation", x.Operation(1))
	require.Empty(t, x.Operation(2))
	position, _ = x.Position(2)
	require.EqualValues(t, 9, position)
	require.Equal(t, []string{"acme.kept"}, find(t, x, search.Query{}))
	require.Equal(t, []string{"acme.kept", "acme.pre"}, find(t, x, search.Query{Prerelease: true}))
	require.Equal(t, []string{"acme.kept"}, text(t, x, "acme"))
}

// testClosed: an index that was closed answers nothing, from memory neither.
func testClosed(t *testing.T, open Open) {
	x := open(t)
	update(t, x, 1, 1, described("Acme", "does", "tag"))
	require.NoError(t, x.Close())
	require.NoError(t, x.Close(), "again")
	for _, q := range []search.Query{{}, {NamePrefix: "acme"}, {Text: "acme"}, {Tag: "tag"}} {
		q.FeedID = 1
		_, err := x.Search(t.Context(), q)
		require.Error(t, err, "%+v", q)
		require.NotErrorIs(t, err, search.ErrRebuilding, "%+v", q)
	}
	require.Error(t, x.Update(t.Context(), 1, []search.Change{{Key: "acme"}}, 1, 2, ""))
	require.Error(t, x.Reset(t.Context(), 1))
	x = opened(t, open)
	require.Equal(t, []string{"acme"}, text(t, x, "acme"), "nothing was lost by that")
}

// testAtOnce: queries go on while there are updates, and each sees whole ones.
func testAtOnce(t *testing.T, open Open) {
	x := opened(t, open)
	var querying sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 4 {
		querying.Go(func() {
			for ctx.Err() == nil {
				hits, err := x.Search(context.WithoutCancel(ctx), search.Query{FeedID: 1, Text: "acme"})
				if err != nil || hits.Total%2 != 0 {
					t.Errorf("%d hits, %v", hits.Total, err)
					return
				}
			}
		})
	}
	for n := range 30 {
		update(t, x, 1, int64(n+1), named(fmt.Sprintf("Acme.A%d", n)), named(fmt.Sprintf("Acme.B%d", n)))
	}
	cancel()
	querying.Wait()
	require.Len(t, text(t, x, "acme"), 50)
	_, err := x.Search(ctx, search.Query{FeedID: 1, Text: "acme"})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, text(t, x, "acme"), 50, "and nothing is lost by that")
}
