package nuget

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

func ids(doc searchDocument) []string {
	found := []string{}
	for _, r := range doc.Data {
		found = append(found, r.ID)
	}
	return found
}

// shop is a world with packages of several kinds.
func shop(t *testing.T) *world {
	w := newWorld(t, nil)
	w.publish(simple(t, "Acme.Core", "1.0"))
	w.publish(simple(t, "Acme.Core", "1.1"))
	w.publish(simple(t, "Acme.Core", "2.0-beta"))
	w.publish(simple(t, "Acme.Core", "2.0-beta.2"))
	w.publish(simple(t, "Acme.New", "1.0-alpha"))
	w.publish(simple(t, "Acme.Tool", "1.0", `<packageTypes><packageType name="DotnetTool"/></packageTypes>`))
	w.publish(simple(t, "Other", "1.0"))
	w.publish(simple(t, "Hidden", "1.0"))
	w.change("Hidden", "1.0", func(s *proget.Status) { s.Listed = false })
	return w
}

func TestSearch(t *testing.T) {
	t.Parallel()
	w := shop(t)
	for query, want := range map[string]struct {
		total int
		ids   []string
	}{
		"":                              {3, []string{"Acme.Core", "Acme.Tool", "Other"}},
		"q=acme":                        {2, []string{"Acme.Core", "Acme.Tool"}},
		"q=ACME&prerelease=true":        {3, []string{"Acme.Core", "Acme.New", "Acme.Tool"}},
		"q=nothing":                     {0, []string{}},
		"q=acme&skip=1":                 {2, []string{"Acme.Tool"}},
		"q=acme&take=1":                 {2, []string{"Acme.Core"}},
		"q=acme&take=0":                 {2, []string{}},
		"q=acme&skip=9":                 {2, []string{}},
		"take=100000":                   {3, []string{"Acme.Core", "Acme.Tool", "Other"}},
		"packageType=dotnettool":        {1, []string{"Acme.Tool"}},
		"packageType=Dependency":        {2, []string{"Acme.Core", "Other"}},
		"packageType=Dependency&skip=1": {2, []string{"Other"}},
		"packageType=Nothing":           {0, []string{}},
		"q=packageid:ACME.core":         {1, []string{"Acme.Core"}},
		"q=PackageId:Acme":              {0, []string{}},
		"q=packageid:Hidden":            {0, []string{}},
		"q=id:acme.t":                   {1, []string{"Acme.Tool"}},
		`q=id:"Acme"`:                   {2, []string{"Acme.Core", "Acme.Tool"}},
	} {
		doc := getJSON[searchDocument](w, "v3/search?"+url.PathEscape(query))
		require.Equal(t, want.total, doc.TotalHits, query)
		require.Equal(t, want.ids, ids(doc), query)
	}
}

func TestSearchVersions(t *testing.T) {
	t.Parallel()
	w := shop(t)
	for query, want := range map[string][]string{
		"":                                   {"1.0.0", "1.1.0"},
		"&prerelease=true":                   {"1.0.0", "1.1.0", "2.0.0-beta"},
		"&prerelease=True&semVerLevel=2.0.0": {"1.0.0", "1.1.0", "2.0.0-beta", "2.0.0-beta.2"},
		"&prerelease=false&semVerLevel=1.0":  {"1.0.0", "1.1.0"},
	} {
		result := getJSON[searchDocument](w, "v3/search?q=acme.core"+query).Data[0]
		var versions []string
		for _, v := range result.Versions {
			versions = append(versions, v.Version)
		}
		require.Equal(t, want, versions, query)
		require.Equal(t, want[len(want)-1], result.Version, query)
		require.Equal(t, want, getJSON[versionsDocument](w, "v3/autocomplete?id=ACME.Core"+query).Data, query)
	}
}

func TestSearchRefuses(t *testing.T) {
	t.Parallel()
	w := shop(t)
	for _, query := range []string{"skip=x", "skip=-1", "take=-1", "take=1.5", "take=99999999999", "prerelease=maybe", "semVerLevel=two"} {
		for _, path := range []string{"v3/search?", "v3/autocomplete?"} {
			rec := w.get(path + query)
			require.Equal(t, 400, rec.Code, query)
			require.Contains(t, rec.Body.String(), "The parameter")
		}
	}
}

// TestSearchIndexBehind: the index may name what is gone.
func TestSearchIndexBehind(t *testing.T) {
	t.Parallel()
	w := shop(t)
	h := w.handler.(*handler)
	h.services.Packages = absent{w, "acme.core"}
	require.Equal(t, []string{"Acme.Tool", "Other"}, ids(getJSON[searchDocument](w, "v3/search")))
}

func TestAutocomplete(t *testing.T) {
	t.Parallel()
	w := shop(t)
	for query, want := range map[string][]string{
		"":                         {"Acme.Core", "Acme.Tool", "Other"},
		"q=acme":                   {"Acme.Core", "Acme.Tool"},
		"q=core":                   {},
		"q=acme.n":                 {},
		"q=acme.n&prerelease=true": {"Acme.New"},
		"q=id:acme":                {},
		"packageType=DotnetTool":   {"Acme.Tool"},
		"take=1":                   {"Acme.Core"},
	} {
		require.Equal(t, want, getJSON[namesDocument](w, "v3/autocomplete?"+query).Data, query)
	}
	require.Equal(t, []string{}, getJSON[versionsDocument](w, "v3/autocomplete?id=nothing").Data)
	require.Equal(t, []string{}, getJSON[versionsDocument](w, "v3/autocomplete?id=hidden").Data)
}

func TestSearchManyOfAType(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i := range 30 {
		w.publish(simple(t, fmt.Sprintf("P%02d", i), "1.0"))
	}
	w.publish(simple(t, "Tool", "1.0", `<packageTypes><packageType name="DotnetTool"/></packageTypes>`))
	doc := getJSON[searchDocument](w, "v3/search?packageType=DotnetTool&take=5")
	require.Equal(t, []string{"Tool"}, ids(doc), "found behind the first page of the index")
}

// TestTagSearch: words of a search name tags, in both versions of the protocol,
// whatever else has them in its text.
func TestTagSearch(t *testing.T) {
	t.Parallel()
	c := feedtest.Start(t, PowerShell(nil))
	push := func(id, version, tags string) {
		file := simple(t, id, version, "<tags>"+tags+"</tags><title>PSModule PSFunction_Get-X</title>")
		a := feedtest.Do(t, feedtest.Request(t, http.MethodPut, c.Feed+"/api/v2/package/", file, "X-NuGet-ApiKey", c.Key))
		require.Equal(t, http.StatusCreated, a.StatusCode, string(a.Body))
	}
	push("Acme.One", "1.0.0", "PSModule PSFunction_Get-X")
	push("Acme.Two", "1.0.0", "psmodule, other, psfunction_get-x")
	push("Acme.Other", "1.0.0", "PSModule PSFunction_Get-XY")
	push("Acme.Later", "1.0.0", "PSModule")
	push("Acme.Later", "2.0.0-beta", "PSModule PSFunction_Get-X")
	push("Zebra", "1.0.0-beta", "PSModule PSFunction_Get-X")
	push("None", "1.0.0", "")
	for term, want := range map[string]string{
		"tag:PSModule":                        "Acme.Later Acme.One Acme.Other Acme.Two Zebra",
		"tags:OTHER":                          "Acme.Two",
		"tag:PSModule tag:PSFunction_Get-X":   "Acme.One Acme.Two Zebra",
		"TAG:psfunction_get-x  Tags:psmodule": "Acme.One Acme.Two Zebra",
		"tag:PSModule tag:PSFunction":         "",
		"tag:psfunction_get-x acme":           "Acme.One Acme.Two",
		"two tag:PSModule tag:other":          "Acme.Two",
		"tag:nothing":                         "",
	} {
		var page atomPage
		a := feedtest.Get(t, c.Feed+"/"+v2URL("v2/Search()", "searchTerm", "'"+term+"'", "includePrerelease", "true", "$filter", "IsAbsoluteLatestVersion", "$orderby", "Id", "$inlinecount", "allpages"))
		require.NoError(t, xml.Unmarshal(a.Body, &page), string(a.Body))
		var names []string
		for _, e := range page.Entries {
			names = append(names, e.property("Id"))
		}
		require.Equal(t, want, strings.Join(names, " "), term)
		require.Equal(t, fmt.Sprint(len(names)), page.Count, term)

		var doc searchDocument
		a = feedtest.Get(t, c.Feed+"/"+v2URL("v3/search", "q", term, "prerelease", "true"))
		require.NoError(t, json.Unmarshal(a.Body, &doc), string(a.Body))
		require.ElementsMatch(t, strings.Fields(want), ids(doc), term)
		require.Equal(t, len(names), doc.TotalHits, term)
	}
	for query, want := range map[string]string{
		"q=tag:PSModule tag:PSFunction_Get-X&skip=1&take=1&prerelease=true": "3 [Acme.Two]",
		"q=tag:PSModule tag:PSFunction_Get-X&take=0":                        "2 []",
		"q=packageid:Acme.One tag:PSModule":                                 "1 [Acme.One]",
		"q=packageid:Acme.One tag:other":                                    "0 []",
		"q=id:Acme.T tag:psmodule":                                          "1 [Acme.Two]",
	} {
		var doc searchDocument
		a := feedtest.Get(t, c.Feed+"/v3/search?"+strings.ReplaceAll(query, " ", "+"))
		require.NoError(t, json.Unmarshal(a.Body, &doc), string(a.Body))
		require.Equal(t, want, fmt.Sprint(doc.TotalHits, ids(doc)), query)
	}
}
