// Package searchtest tests whether an implementation is fit to be a [search.Index]. Its
// test calls [Run] with a function that creates a place for an index and returns a
// function that opens the index there:
//
//	func TestConformance(t *testing.T) {
//		searchtest.Run(t, func(t *testing.T) func(t *testing.T) search.Index {
//			dir := t.TempDir()
//			return func(t *testing.T) search.Index {
//				x, err := Open(dir)
//				require.NoError(t, err)
//				return x
//			}
//		})
//	}
//
// The demands on relevance are such that any engine can meet them: an exact name comes
// first, a match in a name before one in a description, and what was typed before
// similar words.
package searchtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
)

// Open opens the same, initially empty index each time it is called. The caller has
// closed the previous one.
type Open = func(t *testing.T) search.Index

// Run runs the whole contract. newPlace creates a place for an index.
func Run(t *testing.T, newPlace func(t *testing.T) Open) {
	cases := []struct {
		name string
		run  func(t *testing.T, open Open)
	}{
		{"Names", testNames},
		{"Fields", testFields},
		{"Beginnings", testBeginnings},
		{"ManyBeginnings", testManyBeginnings},
		{"WholeNames", testWholeNames},
		{"Scripts", testScripts},
		{"Typos", testTypos},
		{"Order", testOrder},
		{"Popularity", testPopularity},
		{"Visibility", testVisibility},
		{"Filters", testFilters},
		{"Prefixes", testPrefixes},
		{"Capitals", testCapitals},
		{"Pages", testPages},
		{"DeepPages", testDeepPages},
		{"OddQueries", testOddQueries},
		{"Feeds", testFeeds},
		{"Changes", testChanges},
		{"Positions", testPositions},
		{"Reset", testReset},
		{"Reopen", testReopen},
		{"Closed", testClosed},
		{"AtOnce", testAtOnce},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newPlace(t))
		})
	}
}

// open opens an index that is closed at the end of the test.
func opened(t *testing.T, open Open) search.Index {
	t.Helper()
	x := open(t)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

func update(t *testing.T, x search.Index, feed, position int64, documents ...search.Document) {
	t.Helper()
	changes := make([]search.Change, len(documents))
	for i := range documents {
		changes[i] = search.Change{Key: documents[i].Key, Document: &documents[i]}
	}
	from, _ := x.Position(feed)
	require.NoError(t, x.Update(t.Context(), feed, changes, from, position, ""))
}

// find returns the keys that a query of feed 1 finds, and checks their number.
func find(t *testing.T, x search.Index, q search.Query) []string {
	t.Helper()
	q.FeedID = 1
	hits, err := x.Search(t.Context(), q)
	require.NoError(t, err)
	if q.Skip == 0 && q.Take == 0 {
		require.Len(t, hits.Keys, hits.Total, "%+v", q)
	}
	return hits.Keys
}

func text(t *testing.T, x search.Index, words string) []string {
	t.Helper()
	return find(t, x, search.Query{Text: words, Take: 50})
}
