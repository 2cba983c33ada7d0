package search_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
)

func change(name, description string, stable bool, tags ...string) search.Change {
	d := &search.Document{Key: name, Name: name, Description: description, Stable: stable, Tags: tags}
	return search.Change{Key: name, Document: d}
}

func fill(t *testing.T, x *search.Index) {
	t.Helper()
	require.NoError(t, x.Update(1, []search.Change{
		change("newtonsoft.json", "Json.NET is a popular JSON framework", true, "json"),
		change("newtonsoft.json.bson", "BSON on top of it", true),
		change("serilog", "Simple logging with structured JSON output", true, "logging"),
		change("fastlogger", "An early logger", false),
	}, 7))
	require.NoError(t, x.Update(2, []search.Change{change("serilog", "in another feed", true)}, 1))
}

func find(t *testing.T, x *search.Index, q search.Query) search.Hits {
	t.Helper()
	q.FeedID = 1
	hits, err := x.Search(t.Context(), q)
	require.NoError(t, err)
	return hits
}

func TestSearch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, err := search.Open(dir)
	require.NoError(t, err)
	fill(t, x)
	check := func() {
		require.Equal(t, []string{"newtonsoft.json", "newtonsoft.json.bson"}, find(t, x, search.Query{Text: "Newtonsoft.Json"}).Keys, "the exact name first")
		require.Equal(t, []string{"newtonsoft.json", "newtonsoft.json.bson"}, find(t, x, search.Query{Text: "newton"}).Keys, "a beginning")
		require.Equal(t, "newtonsoft.json", find(t, x, search.Query{Text: "json"}).Keys[0], "names weigh more than descriptions")
		require.Len(t, find(t, x, search.Query{Text: "json"}).Keys, 3)
		require.Equal(t, []string{"serilog"}, find(t, x, search.Query{Text: "structured logging"}).Keys, "every word counts")
		require.Empty(t, find(t, x, search.Query{Text: "early"}).Keys, "a prerelease is not asked for")
		require.Equal(t, []string{"fastlogger"}, find(t, x, search.Query{Text: "early", Prerelease: true}).Keys)
		require.Equal(t, search.Hits{Total: 3, Keys: []string{"newtonsoft.json.bson"}}, find(t, x, search.Query{Skip: 1, Take: 1}))
		require.Equal(t, 4, find(t, x, search.Query{Prerelease: true}).Total)
		require.Equal(t, search.Hits{Total: 2, Keys: []string{"newtonsoft.json"}}, find(t, x, search.Query{NamePrefix: "Newton", Take: 1}))
		position, _ := x.Position(1)
		require.EqualValues(t, 7, position)
	}
	check()
	require.NoError(t, x.Close())
	x, err = search.Open(dir)
	require.NoError(t, err, "the index is there after a restart")
	check()

	require.NoError(t, x.Update(1, []search.Change{{Key: "serilog"}, change("fastlogger", "grown up", true)}, 9))
	require.Empty(t, find(t, x, search.Query{Text: "serilog"}).Keys)
	require.Equal(t, []string{"fastlogger"}, find(t, x, search.Query{Text: "grown"}).Keys)
	require.Equal(t, search.Hits{Total: 1, Keys: []string{"fastlogger"}}, find(t, x, search.Query{NamePrefix: "f"}))
	require.NoError(t, x.Close())
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, err := search.Open(dir)
	require.NoError(t, err)
	_, err = search.Open(dir)
	require.ErrorContains(t, err, "another process")
	require.NoError(t, x.Close())
}

func BenchmarkSearch(b *testing.B) {
	x, err := search.Open(b.TempDir())
	require.NoError(b, err)
	defer x.Close()
	for batch := range 20 {
		var changes []search.Change
		for n := range 500 {
			changes = append(changes, change(fmt.Sprintf("acme.part%d.lib%d", batch, n), "A library of the company", true))
		}
		require.NoError(b, x.Update(1, changes, int64(batch+1)))
	}
	for name, q := range map[string]search.Query{
		"text": {FeedID: 1, Text: "part7 lib12"}, "prefix": {FeedID: 1, NamePrefix: "acme.part7.lib1"}, "list": {FeedID: 1}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := x.Search(b.Context(), q)
				require.NoError(b, err)
			}
		})
	}
}
