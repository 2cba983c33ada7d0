package nuget

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// atomPage is what clients read of an answer.
type atomPage struct {
	Base  string `xml:"http://www.w3.org/XML/1998/namespace base,attr"`
	Count string `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata count"`
	Links []struct {
		Rel  string `xml:"rel,attr"`
		Href string `xml:"href,attr"`
	} `xml:"http://www.w3.org/2005/Atom link"`
	Entries []atomEntryDoc `xml:"http://www.w3.org/2005/Atom entry"`
}

type atomEntryDoc struct {
	ID      string `xml:"http://www.w3.org/2005/Atom id"`
	Title   string `xml:"http://www.w3.org/2005/Atom title"`
	Content struct {
		Type string `xml:"type,attr"`
		Src  string `xml:"src,attr"`
	} `xml:"http://www.w3.org/2005/Atom content"`
	Properties struct {
		All []struct {
			XMLName xml.Name
			Null    string `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata null,attr"`
			Text    string `xml:",chardata"`
		} `xml:",any"`
	} `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata properties"`
}

func (e atomEntryDoc) property(name string) string {
	for _, p := range e.Properties.All {
		if p.XMLName.Local == name {
			return p.Text
		}
	}
	return "there is none"
}

func (p atomPage) names() (names []string) {
	for _, e := range p.Entries {
		names = append(names, e.property("Id")+" "+e.property("Version"))
	}
	return names
}

func (p atomPage) next() string {
	for _, l := range p.Links {
		if l.Rel == "next" {
			return l.Href
		}
	}
	return ""
}

// ask returns a page of version 2; pairs are parameters.
func (w *world) ask(path string, pairs ...string) (page atomPage) {
	w.t.Helper()
	rec := w.get(v2URL(path, pairs...))
	require.Equal(w.t, http.StatusOK, rec.Code, "%s: %s", path, rec.Body)
	require.Equal(w.t, atomFeed, rec.Header().Get("Content-Type"))
	require.NoError(w.t, xml.Unmarshal(rec.Body.Bytes(), &page))
	require.Equal(w.t, w.base+"/", page.Base)
	return page
}

func v2URL(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return path + "?" + q.Encode()
}

// newV2World has packages of all kinds.
func newV2World(t *testing.T) *world {
	w := newWorld(t, nil)
	for _, v := range []string{"1.0.0", "1.10.0", "1.9.0", "2.0.0-beta"} {
		w.publish(simple(t, "Acme.Lib", v))
	}
	w.publish(simple(t, "Modern", "1.0.0-rc.1"))
	w.publish(simple(t, "Modern", "0.9"))
	w.publish(simple(t, "Zebra", "3.0"))
	w.publish(rich(t))
	w.change("Acme.Lib", "1.10.0", func(s *proget.Status) { s.Listed = false })
	return w
}

// TestV2Collections: the questions of nuget.exe, Chocolatey and PowerShellGet.
func TestV2Collections(t *testing.T) {
	t.Parallel()
	w := newV2World(t)
	for name, c := range map[string]struct {
		path  string
		pairs []string
		want  string
	}{
		"all versions, unlisted ones too": {"v2/FindPackagesById()", []string{"id", "'acme.lib'"}, "Acme.Lib 1.0.0, Acme.Lib 1.9.0, Acme.Lib 1.10.0, Acme.Lib 2.0.0-beta"},
		"the newest, by NuGet's order":    {"v2/FindPackagesById()", []string{"id", "'Acme.Lib'", "$orderby", "Version desc", "$top", "1"}, "Acme.Lib 2.0.0-beta"},
		"the latest":                      {"v2/FindPackagesById()", []string{"id", "'Acme.Lib'", "$filter", "IsLatestVersion"}, "Acme.Lib 1.9.0"},
		"the absolutely latest":           {"FindPackagesById()", []string{"id", "'Acme.Lib'", "$filter", "IsAbsoluteLatestVersion eq true"}, "Acme.Lib 2.0.0-beta"},
		"an old client sees no SemVer 2":  {"v2/FindPackagesById()", []string{"id", "'Modern'"}, "Modern 0.9.0"},
		"a newer client does":             {"v2/FindPackagesById()", []string{"id", "'Modern'", "semVerLevel", "2.0.0"}, "Modern 0.9.0, Modern 1.0.0-rc.1"},
		"nobody":                          {"v2/FindPackagesById()", []string{"id", "'Nobody'"}, ""},
		"a package by filter":             {"v2/Packages()", []string{"$filter", "tolower(Id) eq 'zebra'"}, "Zebra 3.0.0"},
		"two packages by filter":          {"v2/Packages()", []string{"$filter", "(Id eq 'Zebra' or Id eq 'Acme.Lib') and IsLatestVersion", "$orderby", "Id desc"}, "Zebra 3.0.0, Acme.Lib 1.9.0"},
		"what is newest":                  {"v2/Packages", []string{"$filter", "IsLatestVersion", "$orderby", "Published desc", "$top", "1"}, "Zebra 3.0.0"},
		"listed names that begin so":      {"v2/Packages()", []string{"$filter", "startswith(tolower(Id),'acme.l') and Listed"}, "Acme.Lib 1.0.0, Acme.Lib 1.9.0, Acme.Lib 2.0.0-beta"},
		"skipped":                         {"v2/Packages()", []string{"$filter", "IsLatestVersion", "$skip", "2"}, "Zebra 3.0.0"},
		"found":                           {"v2/Search()", []string{"searchTerm", "'acme.lib'", "includePrerelease", "false", "$filter", "IsLatestVersion"}, "Acme.Lib 1.9.0"},
		"found, with prereleases":         {"v2/Search()", []string{"searchTerm", "'acme.lib'", "includePrerelease", "true", "$filter", "IsAbsoluteLatestVersion", "targetFramework", "''"}, "Acme.Lib 2.0.0-beta"},
		"found, all versions that count":  {"v2/Search()", []string{"searchTerm", "'acme.lib'", "includePrerelease", "false"}, "Acme.Lib 1.0.0, Acme.Lib 1.9.0"},
		"updates":                         {"v2/GetUpdates()", []string{"packageIds", "'Acme.Lib|Zebra|Nobody'", "versions", "'1.0.0|3.0.0|1.0'", "includePrerelease", "false", "includeAllVersions", "false"}, "Acme.Lib 1.9.0"},
		"updates, prereleases":            {"v2/GetUpdates()", []string{"packageIds", "'Acme.Lib'", "versions", "'1.0.0'", "includePrerelease", "true", "includeAllVersions", "true"}, "Acme.Lib 1.9.0, Acme.Lib 2.0.0-beta"},
		"updates within a range":          {"v2/GetUpdates()", []string{"packageIds", "'Acme.Lib'", "versions", "'1.0.0'", "includePrerelease", "true", "includeAllVersions", "false", "versionConstraints", "'[1.0,2.0.0-beta)'"}, "Acme.Lib 1.9.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, strings.Join(w.ask(c.path, c.pairs...).names(), ", "))
		})
	}
}

// TestV2Filter: names are compared without regard to case, versions as NuGet
// orders them, as PSResourceGet takes for granted.
func TestV2Filter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, v := range []string{"1.0", "2.0.0", "9.0.0", "10.0.0", "10.2.0", "10.3.0-Beta"} {
		w.publish(simple(t, "PSMod", v))
	}
	w.publish(simple(t, "Other", "9.0.0"))
	for filter, want := range map[string]string{
		"Id eq 'psmod' and IsLatestVersion eq true":                             "10.2.0",
		"Id eq 'PSMOD' and IsAbsoluteLatestVersion":                             "10.3.0-Beta",
		"startswith(Id,'psm') and endswith(Id,'MOD') and Version lt '2'":        "1.0.0",
		"substringof('smo',Id) and indexof(Id,'mod') eq 2 and Version eq '2.0'": "2.0.0",
		"NormalizedVersion ge '9.0.0' and IsPrerelease eq false":                "9.0.0 10.0.0 10.2.0",
		"NormalizedVersion ge '2.0.0' and NormalizedVersion le '10.0.0'":        "2.0.0 9.0.0 10.0.0",
		"Version gt '10.2.0' and Version lt '10.3.0'":                           "10.3.0-Beta",
		"Version eq '1.0'": "1.0.0",
		"Version eq '1.0.0' or '1.0.0.0' eq NormalizedVersion":             "1.0.0",
		"Version eq '10.3.0-beta+build'":                                   "10.3.0-Beta",
		"Version eq 'latest' or Version eq null or Version eq 1":           "",
		"startswith(Version,'10.') and endswith(tolower(Version),'-beta')": "10.3.0-Beta",
	} {
		page := w.ask("v2/FindPackagesById()", "id", "'psmod'", "$filter", filter, "$inlinecount", "allpages")
		var versions []string
		for _, e := range page.Entries {
			versions = append(versions, e.property("Version"))
		}
		require.Equal(t, want, strings.Join(versions, " "), filter)
		require.Equal(t, fmt.Sprint(len(versions)), page.Count, filter)
	}
	require.Equal(t, []string{"Other 9.0.0", "PSMod 9.0.0"}, w.ask("v2/Packages()", "$filter", "NormalizedVersion eq '9'").names())
	require.Equal(t, []string{"PSMod 10.3.0-Beta", "PSMod 10.2.0"}, w.ask("v2/Packages()", "$orderby", "NormalizedVersion desc,Id", "$top", "2").names())
}

// TestV2Entry: an entry has what clients read, and the file is where it says.
func TestV2Entry(t *testing.T) {
	t.Parallel()
	w := newV2World(t)
	rec := w.get("v2/Packages(Id='acme.rich',Version='1.2.0-beta.1')")
	require.Equal(t, http.StatusOK, rec.Code, rec.Body)
	require.Equal(t, atomEntry, rec.Header().Get("Content-Type"))
	require.Equal(t, "2.0;", rec.Header().Get("DataServiceVersion"))
	var e atomEntryDoc
	require.NoError(t, xml.Unmarshal(rec.Body.Bytes(), &e))
	require.Equal(t, "Acme.Rich", e.Title)
	require.Equal(t, "application/zip", e.Content.Type)
	for property, want := range map[string]string{
		"Id": "Acme.Rich", "NormalizedVersion": "1.2.0-Beta.1", "Description": "Does <things> & more.", "IsPrerelease": "true", "Tags": "one two three",
		"ProjectUrl": "https://acme.example/", "IsAbsoluteLatestVersion": "true", "IsLatestVersion": "false", "PackageHashAlgorithm": "SHA512", "LastEdited": "",
	} {
		require.Equal(t, want, e.property(property), property)
	}
	require.Contains(t, e.property("Dependencies"), ":[")
	file := w.get(strings.TrimPrefix(e.Content.Src, w.base+"/"))
	require.Equal(t, http.StatusOK, file.Code)
	again := w.get("v2/Packages(Id='acme.rich',Version='1.2.0-beta.1')/$value")
	require.Equal(t, file.Body.Bytes(), again.Body.Bytes())
	require.Equal(t, http.StatusNotModified, w.do("GET", "v2/Packages(Id='acme.rich',Version='1.2.0-beta.1')", nil, "If-None-Match", rec.Header().Get("ETag")).Code)
}

// TestV2Pages: a long collection comes in pages whose links lead through all of
// it, each entry once; its number is asked for apart, or with the first page.
func TestV2Pages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for n := range 130 {
		for _, v := range []string{"1.0", "2.0"} {
			require.NoError(t, w.add(&proget.Version{Name: fmt.Sprintf("P%03d", n), Version: v, Key: versionKey(v), Status: proget.Status{Listed: true},
				Manifest: []byte(`{"id":"P","version":"1.0"}`)}))
		}
	}
	for _, pairs := range [][]string{{}, {"$orderby", "Id desc"}, {"$inlinecount", "allpages"}} {
		seen := make(map[string]bool)
		pages := 0
		for link := v2URL("v2/Packages()", pairs...); link != ""; pages++ {
			rec := w.get(link)
			require.Equal(t, http.StatusOK, rec.Code, rec.Body)
			var page atomPage
			require.NoError(t, xml.Unmarshal(rec.Body.Bytes(), &page))
			for _, name := range page.names() {
				require.False(t, seen[name], "%s twice", name)
				seen[name] = true
			}
			if len(pairs) > 0 && pairs[0] == "$inlinecount" && pages == 0 {
				require.Equal(t, "260", page.Count)
			}
			link = strings.TrimPrefix(page.next(), w.base+"/")
		}
		require.Len(t, seen, 260)
		require.Equal(t, 3, pages)
	}
	require.Equal(t, "260", w.get("v2/Packages()/$count").Body.String())
	require.Equal(t, "130", w.get(v2URL("v2/Packages/$count", "$filter", "IsLatestVersion")).Body.String())
	require.Empty(t, w.ask("v2/Packages()", "$top", "5").next(), "who asks for five is given five")
	require.Empty(t, w.ask("v2/Packages()", "$top", "0").Entries)
}

// TestV2Top: $top is of the whole collection and may be large, whatever the size of
// a page.
func TestV2Top(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for n := range 1100 {
		require.NoError(t, w.add(&proget.Version{Name: fmt.Sprintf("P%04d", n), Version: "1.0", Key: "1.0.0", Status: proget.Status{Listed: true},
			Manifest: []byte(`{"id":"P","version":"1.0","tags":["a","b"]}`)}))
	}
	some := "startswith(Id,'P00') or startswith(Id,'P01') or startswith(Id,'P020')" // 210
	for name, c := range map[string]struct {
		path  string
		pairs []string
		want  []int // entries of each page
	}{
		"none":                      {"v2/Packages()", []string{"$filter", some}, []int{100, 100, 10}},
		"a page":                    {"v2/Packages()", []string{"$filter", some, "$top", "100"}, []int{100}},
		"more than a page":          {"v2/Packages()", []string{"$filter", some, "$top", "150"}, []int{150}},
		"more than there are":       {"v2/Packages()", []string{"$filter", some, "$top", "6000"}, []int{210}},
		"sorted":                    {"v2/Packages()", []string{"$filter", some, "$top", "150", "$orderby", "Id desc"}, []int{150}},
		"too many at once":          {"v2/Packages()", []string{"$filter", some, "$top", "6099"}, []int{100, 110}},
		"too many at once, sorted":  {"v2/Packages()", []string{"$filter", some, "$top", "6101", "$orderby", "Id desc"}, []int{100, 100, 10}},
		"all, as PSResourceGet":     {"v2/Search()", []string{"$filter", "IsLatestVersion", "$inlinecount", "allpages", "$skip", "0", "$top", "6000"}, []int{1100}},
		"all, found in pages":       {"v2/Search()", []string{"$filter", "IsLatestVersion", "$top", "1050"}, []int{1050}},
		"by tag, as PSResourceGet":  {"v2/Search()", []string{"$filter", "IsLatestVersion and substringof('A', Tags) eq true", "$inlinecount", "allpages", "$top", "250"}, []int{100, 100, 50}},
		"by tags, as PSResourceGet": {"v2/Search()", []string{"searchTerm", "'tag:A tag:B'", "$filter", "IsLatestVersion", "$skip", "900", "$top", "6000"}, []int{100, 100}},
		"by a tag that is missing":  {"v2/Search()", []string{"searchTerm", "'tag:A tag:C'", "$filter", "IsLatestVersion", "$top", "6000"}, []int{0}},
		"without any":               {"v2/Search()", []string{"$top", "0"}, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int
			seen := make(map[string]bool)
			for link := v2URL(c.path, c.pairs...); link != ""; {
				var page atomPage
				require.NoError(t, xml.Unmarshal(w.get(link).Body.Bytes(), &page))
				got = append(got, len(page.Entries))
				for _, name := range page.names() {
					require.False(t, seen[name], "%s twice", name)
					seen[name] = true
				}
				link = strings.TrimPrefix(page.next(), w.base+"/")
			}
			require.Equal(t, c.want, got)
		})
	}
	require.Equal(t, "1100", w.ask("v2/Search()", "$filter", "IsLatestVersion", "$inlinecount", "allpages", "$top", "6000").Count)
	w.searches = 0
	require.Empty(t, w.ask("v2/Search()", "$filter", "IsLatestVersion and Id eq 'none'", "$top", "1").Entries)
	require.LessOrEqual(t, w.searches, 3, "a filter that nothing fits does not have the index asked for a few at a time")
}

// TestV2Documents: the service and its model, which old clients insist on.
func TestV2Documents(t *testing.T) {
	t.Parallel()
	w := newV2World(t)
	for _, path := range []string{"", "v2/", "api/v2/"} {
		rec := w.get(path)
		require.Equal(t, http.StatusOK, rec.Code)
		require.Contains(t, rec.Body.String(), `xml:base="`+w.base+`/"`)
		require.Contains(t, rec.Body.String(), `<collection href="Packages">`)
	}
	rec := w.get("v2/$metadata")
	require.Equal(t, http.StatusOK, rec.Code)
	decoder := xml.NewDecoder(rec.Body)
	properties := 0
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "Property" {
			properties++
		}
	}
	require.Equal(t, len(v2Properties), properties)
	for _, accept := range [][]string{{"$format", "json"}, {}} {
		var doc struct {
			D struct {
				Results []map[string]any
				Count   string `json:"__count"`
			}
		}
		rec := w.do("GET", v2URL("v2/FindPackagesById()", append(accept, "id", "'Zebra'", "$inlinecount", "allpages")...), nil, "Accept", "application/json")
		require.Equal(t, http.StatusOK, rec.Code)
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &doc))
		require.Equal(t, "1", doc.D.Count)
		require.Equal(t, "Zebra", doc.D.Results[0]["Id"])
		require.Equal(t, "3.0.0", doc.D.Results[0]["Version"])
		require.Equal(t, true, doc.D.Results[0]["IsLatestVersion"])
		require.Contains(t, doc.D.Results[0]["Published"], "/Date(")
	}
}

// TestV2Refused: what cannot be understood is refused with a reason.
func TestV2Refused(t *testing.T) {
	t.Parallel()
	w := newV2World(t)
	for _, path := range []string{
		v2URL("v2/Packages()", "$filter", "Id eq"), v2URL("v2/Packages()", "$filter", "Colour eq 'red'"), v2URL("v2/Packages()", "$orderby", "Colour"),
		v2URL("v2/Packages()", "$orderby", "Id up"), v2URL("v2/Packages()", "$top", "-1"), v2URL("v2/Packages()", "$skip", "x"), v2URL("v2/Packages()", "$skiptoken", "x"),
		v2URL("v2/Packages()", "$orderby", "Published", "$skip", "9901"), v2URL("v2/Packages()", "$orderby", "Published", "$skip", "2147483647"), v2URL("v2/Packages()", "$orderby", "Published", "$skip", "5000", "$top", "5001"),
		v2URL("v2/GetUpdates()", "packageIds", "'a|b'", "versions", "'1'"), v2URL("v2/GetUpdates()", "packageIds", "'a'", "versions", "'1'", "versionConstraints", "'soon'"),
	} {
		rec := w.get(path)
		require.Equal(t, http.StatusBadRequest, rec.Code, path)
		require.NotEmpty(t, strings.TrimSpace(rec.Body.String()))
	}
}

// TestV2Bounded: a collection that is counted or sorted keeps no more entries than its page
// may need, nor those that it skips unless it sorts them.
func TestV2Bounded(t *testing.T) {
	t.Parallel()
	for order, c := range map[string]struct {
		skip       string
		kept, page int
	}{
		"":             {"790", 4, 3},
		"Version desc": {"5", 18, 3},
		"Version asc":  {"798", 1604, 2},
	} {
		q, err := parseV2Query(v2Packages, url.Values{"$inlinecount": {"allpages"}, "$orderby": {order}, "$skip": {c.skip}, "$top": {"3"}, "semVerLevel": {"2.0.0"}})
		require.NoError(t, err)
		all := &v2Collection{query: q, whole: true, gate: make(feed.Gate, 1)}
		for range 20 {
			require.NoError(t, all.add(t.Context(), many(t, 40), nil))
			require.LessOrEqual(t, len(all.found), c.kept, order)
		}
		page, err := all.page()
		require.NoError(t, err)
		require.Equal(t, 800, page.total)
		require.Len(t, page.entries, c.page, order)
	}
}

// TestV2Blocked: blocked packages, which the index finds, are neither counted nor skipped.
func TestV2Blocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fill(30)
	for _, id := range []string{"P00000", "P00012", "P00029"} {
		w.change(id, "1.0", func(s *proget.Status) { s.Blocked = true })
	}
	latest := []string{"$filter", "IsLatestVersion", "$orderby", "Id", "searchTerm", "''", "includePrerelease", "false"}
	require.Equal(t, "27", w.get(v2URL("v2/Search()/$count", latest...)).Body.String())
	seen := make(map[string]bool)
	for _, skip := range []string{"0", "10", "20"} {
		for _, name := range w.ask("v2/Search()", append(latest, "$skip", skip, "$top", "10")...).names() {
			require.False(t, seen[name], "%s twice", name)
			seen[name] = true
		}
	}
	require.Len(t, seen, 27)
}

// TestV2Beyond: in feeds of more packages than are looked at for one answer, what clients
// ask for is answered in full, and what would be wrong is refused.
func TestV2Beyond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fill(10_500)
	latest := []string{"$filter", "IsLatestVersion", "searchTerm", "''", "includePrerelease", "false"}
	require.Equal(t, "10500", w.get(v2URL("v2/Search()/$count", append(latest, "$orderby", "Id")...)).Body.String())
	absolute := w.ask("v2/Search()", "$filter", "IsAbsoluteLatestVersion eq true", "includePrerelease", "true", "$inlinecount", "allpages", "$top", "1")
	require.Equal(t, "10500", absolute.Count)
	require.Equal(t, []string{"P00000 1.0.0"}, absolute.names())
	for _, order := range [][]string{{}, {"$orderby", "Id"}, {"$orderby", "Id,Version"}} { // choco search, nuget list
		page := w.ask("v2/Search()", slices.Concat(latest, order, []string{"$skip", "10450", "$top", "30"})...)
		require.Len(t, page.Entries, 30)
		require.Equal(t, "P10450 1.0.0", page.names()[0])
		require.Len(t, w.ask("v2/Search()", slices.Concat(latest, order, []string{"$skip", "10480", "$top", "30"})...).Entries, 20)
		require.Empty(t, w.ask("v2/Search()", slices.Concat(latest, order, []string{"$skip", "10510", "$top", "30"})...).Entries)
	}
	require.Len(t, w.ask("v2/Packages()", "$orderby", "Id", "$skiptoken", "'p10449','1.0.0'", "$top", "40").Entries, 40)
	require.Len(t, w.ask("v2/Search()", "searchTerm", "'p0000'", "$filter", "IsLatestVersion", "$orderby", "Id desc").Entries, 10)
	for _, path := range []string{
		"v2/Search()/$count", v2URL("v2/Search()", "$inlinecount", "allpages"), v2URL("v2/Search()", append(latest, "$orderby", "DownloadCount desc")...),
		v2URL("v2/Search()", "searchTerm", "'p'", "$filter", "IsLatestVersion", "$orderby", "Id"), v2URL("v2/Search()", "$filter", "Id eq 'P10499'"),
		"v2/Packages()/$count", v2URL("v3/search", "q", "tag:a tag:b"),
	} {
		rec := w.get(path)
		require.Equal(t, http.StatusBadRequest, rec.Code, path)
		require.Contains(t, rec.Body.String(), "one by one", path)
	}
}
