package searchtest

import (
	"fmt"
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
