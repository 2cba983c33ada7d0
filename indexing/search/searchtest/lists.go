package searchtest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
)

// testVisibility: a package is shown to those who can use a version of it.
func testVisibility(t *testing.T, open Open) {
	x := opened(t, open)
	pre, modern, half := named("Acme.Pre"), named("Acme.Modern"), named("Acme.Half")
	pre.Stable = false
	modern.Modern, modern.ModernStable = true, true
	half.ModernStable = true
	update(t, x, 1, 1, named("Acme.All"), pre, modern, half)
	for _, c := range []struct {
		prerelease, old bool
		want            []string
	}{
		{false, false, []string{"acme.all", "acme.half", "acme.modern"}},
		{true, false, []string{"acme.all", "acme.half", "acme.modern", "acme.pre"}},
		{false, true, []string{"acme.all"}},
		{true, true, []string{"acme.all", "acme.half", "acme.pre"}},
	} {
		q := search.Query{Prerelease: c.prerelease, Old: c.old}
		require.Equal(t, c.want, find(t, x, q))
		q.NamePrefix = "ACME."
		require.Equal(t, c.want, find(t, x, q))
		q.NamePrefix, q.Text = "", "acme"
		require.Equal(t, c.want, find(t, x, q))
	}
	pre.Stable = true
	update(t, x, 1, 2, pre)
	require.Contains(t, find(t, x, search.Query{}), "acme.pre")
	require.Contains(t, find(t, x, search.Query{Text: "pre"}), "acme.pre")
}

func testFilters(t *testing.T, open Open) {
	x := opened(t, open)
	tool, template := described("Acme.Tool", "does", "cli", "Dev Tools"), described("Acme.Both", "does", "cli")
	tool.Types, template.Types = []string{"DotnetTool"}, []string{"Template", "DotnetTool"}
	update(t, x, 1, 1, tool, template, described("Acme.Lib", "does"))
	for _, c := range []struct {
		q    search.Query
		want []string
	}{
		{search.Query{Type: "dotnettool"}, []string{"acme.both", "acme.tool"}},
		{search.Query{Type: "Template"}, []string{"acme.both"}},
		{search.Query{Type: "Dotnet"}, nil},
		{search.Query{Tag: "CLI"}, []string{"acme.both", "acme.tool"}},
		{search.Query{Tag: "dev tools"}, []string{"acme.tool"}},
		{search.Query{Type: "DotnetTool", Tag: "Dev Tools", Text: "acme"}, []string{"acme.tool"}},
		{search.Query{Type: "DotnetTool", Text: "lib"}, nil},
		{search.Query{Type: "DotnetTool", NamePrefix: "Acme.T"}, []string{"acme.tool"}},
		{search.Query{Text: "does", NamePrefix: "acme.l"}, []string{"acme.lib"}},
		{search.Query{Text: "does", NamePrefix: "ACME"}, []string{"acme.both", "acme.lib", "acme.tool"}},
	} {
		require.Equal(t, c.want, find(t, x, c.q), "%+v", c.q)
	}
}

func testPrefixes(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, named("Acme"), named("Acme.B"), named("Acme.A"), named("Acmf"), named("b"), named("größe.x"))
	for prefix, want := range map[string][]string{
		"":        {"acme", "acme.a", "acme.b", "acmf", "b", "größe.x"},
		"a":       {"acme", "acme.a", "acme.b", "acmf"},
		"ACME":    {"acme", "acme.a", "acme.b"},
		"acme.":   {"acme.a", "acme.b"},
		"acme.a":  {"acme.a"},
		"acme.aa": nil,
		"größe":   {"größe.x"},
		"\xff":    nil,
		"z":       nil,
	} {
		require.Equal(t, want, find(t, x, search.Query{NamePrefix: prefix}), prefix)
	}
}

// testCapitals: keys that keep their capitals are in the order of their letters, and found without regard to case.
func testCapitals(t *testing.T, open Open) {
	x := opened(t, open)
	var documents []search.Document
	for _, key := range []string{"acme.b", "Acme.A", "Acme", "ACME.C", "acme.a", "Zebra", "Größe.X", "GRÖSSER", "beta"} {
		documents = append(documents, search.Document{Key: key, Name: key, Stable: true, Types: []string{"Lib"}})
	}
	update(t, x, 1, 1, documents...)
	for prefix, want := range map[string][]string{
		"":       {"Acme", "Acme.A", "acme.a", "acme.b", "ACME.C", "beta", "GRÖSSER", "Größe.X", "Zebra"},
		"acme.":  {"Acme.A", "acme.a", "acme.b", "ACME.C"},
		"ACME.A": {"Acme.A", "acme.a"},
		"Acme.c": {"ACME.C"},
		"z":      {"Zebra"},
		"GRÖ":    {"GRÖSSER", "Größe.X"},
		"größe":  {"Größe.X"},
	} {
		require.Equal(t, want, find(t, x, search.Query{NamePrefix: prefix}), prefix)
		require.Equal(t, want, find(t, x, search.Query{NamePrefix: prefix, Type: "lib"}), prefix)
	}
	require.Equal(t, []string{"Acme.A", "acme.a"}, find(t, x, search.Query{NamePrefix: "ACME.", Text: "a"})[:2])
	require.Equal(t, "ACME.C", find(t, x, search.Query{Text: "acme.c"})[0])
	require.NoError(t, x.Update(t.Context(), 1, []search.Change{{Key: "Acme.A"}}, 1, 2, ""))
	require.Equal(t, []string{"acme.a"}, find(t, x, search.Query{NamePrefix: "acme.a"}), "another one")
}

// testDeepPages: a search without text can be paged through to its end, and the last page of one for
// text ends where the window does.
func testDeepPages(t *testing.T, open Open) {
	x := opened(t, open)
	const packages = search.MaxWindow + 500
	documents := make([]search.Document, packages)
	for n := range documents {
		documents[n] = named(fmt.Sprintf("p%05d", n))
		documents[n].Types, documents[n].Tags = []string{"Lib"}, []string{"tag"}
	}
	position := int64(0)
	for some := range slices.Chunk(documents, 3000) {
		position++
		update(t, x, 1, position, some...)
	}
	for _, q := range []search.Query{{}, {Type: "Lib"}, {Tag: "tag"}, {Type: "Lib", NamePrefix: "P"}, {Text: "p"}} {
		q.FeedID, q.Take = 1, 100
		for _, skip := range []int{0, search.MaxWindow - 50, search.MaxWindow + 450, packages, math.MaxInt} {
			end := packages
			if q.Text != "" {
				end = search.MaxWindow
			}
			q.Skip = skip
			hits, err := x.Search(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, packages, hits.Total, "%+v", q)
			require.Len(t, hits.Keys, max(min(end-skip, q.Take), 0), "%+v", q)
			for i, key := range hits.Keys {
				require.Equal(t, documents[skip+i].Key, key, "%+v", q)
			}
		}
	}
}

// testPages: pages neither overlap nor leave gaps, and each knows the total.
func testPages(t *testing.T, open Open) {
	x := opened(t, open)
	var documents []search.Document
	for n := range 95 {
		d := described(fmt.Sprintf("Acme.Part%02d", n), "does things", "tag")
		d.Downloads = int64(n) * int64(n)
		documents = append(documents, d)
	}
	for some := range slices.Chunk(documents, 20) { // engines keep batches apart
		update(t, x, 1, 1, some...)
	}
	for _, q := range []search.Query{{}, {NamePrefix: "acme"}, {Text: "things"}, {Text: "acme things"}, {Tag: "tag"}} {
		var all []string
		for q.Skip = 0; q.Skip < 100; q.Skip += 10 {
			q.FeedID, q.Take = 1, 10
			hits, err := x.Search(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, 95, hits.Total, "%+v", q)
			all = append(all, hits.Keys...)
		}
		require.Len(t, all, 95, "%+v", q)
		q.Skip, q.Take = 0, 95
		require.Equal(t, find(t, x, q), all, "in the order of a single page")
		slices.Sort(all)
		require.Len(t, slices.Compact(all), 95, "%+v", q)
		q.Skip = 1 << 40
		hits, err := x.Search(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, search.Hits{Total: 95}, hits, "far beyond")
	}
	require.Len(t, find(t, x, search.Query{Text: "things", Take: 1 << 40}), 95)
	require.Len(t, find(t, x, search.Query{Text: "things", Take: 0, Skip: 1}), 20, "the usual page")
}
