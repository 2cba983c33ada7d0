package nuget

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// many fills a package without packing files.
func many(t testing.TB, n int) *feed.Package {
	p := &feed.Package{Package: &proget.Package{Name: "Acme.Many", Key: "acme.many"}}
	for i := range n {
		m := metadata{ID: "Acme.Many", Version: fmt.Sprintf("1.%d.0", i), Authors: "Ann", Description: strings.Repeat("word ", 40),
			DependencyGroups: []dependencyGroup{{"net8.0", []dependency{{ID: "A", Range: "1.0"}, {ID: "B", Range: "[1,2)"}}}}}
		raw, err := json.Marshal(m)
		require.NoError(t, err)
		p.Versions = append(p.Versions, &proget.Version{
			Name: m.ID, Version: m.Version, Key: versionKey(m.Version), Status: proget.Status{Listed: true}, Manifest: raw,
		})
	}
	return p
}

func TestRegistrationPages(t *testing.T) {
	t.Parallel()
	for n, pages := range map[int][]int{1: {1}, 64: {64}, 65: {64, 1}, 128: {64, 64}, 200: {64, 64, 64, 8}} {
		w := newWorld(t, nil)
		w.packages["acme.many"] = many(t, n)
		doc := getJSON[registrationDocument](w, "v3/registration/acme.many/index.json")
		require.Equal(t, len(pages), doc.Count)
		var keys []string
		for i, item := range doc.Items {
			require.Equal(t, pages[i], item.Count)
			if len(pages) > 1 {
				require.Empty(t, item.Items, "%d versions are not put into the index", n)
				item = getJSON[pageItem](w, strings.TrimPrefix(item.ID, w.base+"/"))
			}
			require.Len(t, item.Items, pages[i])
			require.Equal(t, doc.ID, item.Parent)
			for _, leaf := range item.Items {
				keys = append(keys, leaf.CatalogEntry.Version)
				require.Equal(t, 200, w.get(strings.TrimPrefix(leaf.ID, w.base+"/")).Code)
			}
		}
		require.Len(t, keys, n)
		require.Equal(t, fmt.Sprintf("1.%d.0", n-1), keys[n-1])
	}
}

// TestRegistrationPageOfOldIndex: a client reads the index, someone pushes a
// version, the client follows a link of the index.
func TestRegistrationPageOfOldIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := many(t, 130)
	w.packages["acme.many"] = p
	doc := getJSON[registrationDocument](w, "v3/registration/acme.many/index.json")
	w.publish(simple(t, "Acme.Many", "0.1"))
	size := w.packages["acme.many"].Bytes()
	for i, want := range []int{64, 64, 2} {
		page := getJSON[pageItem](w, strings.TrimPrefix(doc.Items[i].ID, w.base+"/"))
		require.Equal(t, want, page.Count)
		require.Equal(t, doc.Items[i].Lower, page.Lower)
	}
	require.Equal(t, size, w.packages["acme.many"].Bytes(), "pages that the index lacks are not kept")
	require.Equal(t, 404, w.get("v3/registration/acme.many/page/0.0.0/9.0.0.json").Code, "nor is everything one page")
}

func TestHives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(simple(t, "A", "1.0"))
	w.publish(simple(t, "A", "1.1-beta.1"))
	w.publish(simple(t, "A", "1.2+build"))
	w.publish(simple(t, "A", "1.3", `<dependencies><dependency id="B" version="1.0-rc.1"/></dependencies>`))
	w.publish(simple(t, "OnlyNew", "1.0+x"))

	old := getJSON[registrationDocument](w, "v3/registration-semver1/a/index.json")
	require.Equal(t, 1, old.Items[0].Count)
	require.Contains(t, old.Items[0].Items[0].Registration, "registration-semver1")
	require.Equal(t, 4, getJSON[registrationDocument](w, "v3/registration/a/index.json").Items[0].Count)

	require.Equal(t, 404, w.get("v3/registration-semver1/a/1.2.0.json").Code)
	require.Equal(t, 200, w.get("v3/registration/a/1.2.0.json").Code)
	require.Equal(t, 404, w.get("v3/registration-semver1/onlynew/index.json").Code)
}

func TestNeedsSemVer2(t *testing.T) {
	t.Parallel()
	for manifest, want := range map[string]bool{
		`{"semVer2":true,"id":"A"}`:  true,
		`{"semVer2":false,"id":"A"}`: false,
		`{"id":"A","semVer2":true}`:  true,
		`{"id":"A"}`:                 false,
		`{}`:                         false,
		``:                           false,
		`[`:                          false,
	} {
		require.Equal(t, want, needsSemVer2(&proget.Version{Version: "1.0", Manifest: json.RawMessage(manifest)}), manifest)
	}
}

// TestRegistrationIsKept: the second answer comes from memory and revalidates.
func TestRegistrationIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(rich(t))
	const path = "v3/registration/acme.rich/index.json"
	first := w.get(path)
	size := w.packages["acme.rich"].Bytes()
	rec := w.do("GET", path, nil, "If-None-Match", first.Header().Get("ETag"))
	require.Equal(t, 304, rec.Code)
	require.Equal(t, size, w.packages["acme.rich"].Bytes())

	w.base = "http://other.example/nuget/main"
	require.Contains(t, w.get(path).Body.String(), w.base)
}

func TestCorruptManifest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.packages["acme.many"] = many(t, 1)
	w.packages["acme.many"].Versions[0].Manifest = json.RawMessage("{")
	require.Equal(t, 500, w.get("v3/registration/acme.many/index.json").Code)
	require.Equal(t, 500, w.get("v3/search").Code)
}

func BenchmarkRegistration(b *testing.B) {
	for _, n := range []int{10, 64, 500} {
		p := many(b, n)
		b.Run(fmt.Sprintf("index of %d versions", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reg, err := newRegistration(p, "https://feeds.example/nuget/main", semVer2Hive)
				require.NoError(b, err)
				_, err = reg.renderIndex()
				require.NoError(b, err)
			}
		})
		b.Run(fmt.Sprintf("all pages of %d versions", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reg, err := newRegistration(p, "https://feeds.example/nuget/main", semVer1Hive)
				require.NoError(b, err)
				for _, page := range reg.pages() {
					_, err = reg.renderPage(page)
					require.NoError(b, err)
				}
			}
		})
	}
}
