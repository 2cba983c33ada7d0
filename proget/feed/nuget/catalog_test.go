package nuget

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// A shelf holds a catalog's files as a node would keep them.
type shelf struct {
	t     *testing.T
	w     *world
	files map[string][]byte
	state string
	fail  map[string]error
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, w: newWorld(t, nil), files: map[string][]byte{}, fail: map[string]error{}}
	s.w.handler = s.w.typ.Handler(feed.Services{Packages: s.w, Indexes: s})
	return s
}

func (s *shelf) Read(_ context.Context, _ int64, _, name string) ([]byte, error) {
	if err := s.fail[name]; err != nil {
		return nil, err
	}
	if text, ok := s.files[name]; ok {
		return text, nil
	}
	return nil, proget.Errorf(proget.ErrNotFound, "There is no file %s.", name)
}

// add publishes a version and returns its log entry.
func (s *shelf) add(id, version string) proget.Entry {
	s.t.Helper()
	require.NoError(s.t, s.w.add(&proget.Version{Name: id, Version: version, Key: versionKey(version), Status: proget.Status{Listed: true},
		Manifest: []byte(`{"id":"` + id + `","version":"` + version + `","tags":["PackageDelete"],"dependencyGroups":[{"dependencies":[{"id":"Other","range":"[1.0.0,)"}]}]}`),
		Files:    []proget.File{{Size: 7, Digests: proget.Digests{proget.SHA512: "00ff"}}}}))
	return changed(id, version)
}

func changed(id, version string) proget.Entry {
	return proget.Entry{PackageKey: nameKey(id), VersionKey: versionKey(version), At: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// build makes the next generation and takes it onto the shelf.
func (s *shelf) build(entries ...proget.Entry) (*repoindex.Generation, error) {
	s.t.Helper()
	g, err := catalogOf(feed.Services{Packages: s.w}).Build(s.t.Context(), &repoindex.Build{Feed: s.w.feed, State: s.state, Entries: entries,
		Read: func(name string) ([]byte, error) { return s.Read(s.t.Context(), 1, catalogKind, name) }})
	if err != nil || g == nil {
		return g, err
	}
	if s.state == "" {
		s.files = map[string][]byte{}
	}
	for _, name := range g.Ended {
		delete(s.files, name)
	}
	for _, f := range g.Files {
		require.NotContains(s.t, s.files, f.Name, "a file of a catalog is replaced only if it is said to end")
		require.LessOrEqual(s.t, len(f.Name), repoindex.MaxName)
		s.files[f.Name], err = io.ReadAll(f.Body)
		require.NoError(s.t, err)
	}
	s.state = g.State
	return g, nil
}

func (s *shelf) rebuild() (commits int) {
	s.t.Helper()
	s.state = ""
	for {
		g, err := s.build()
		require.NoError(s.t, err)
		if commits++; !g.More {
			return commits
		}
	}
}

// items reads the whole catalog over HTTP and checks what holds for all.
func (s *shelf) items() (items []catalogItem) {
	s.t.Helper()
	root := getJSON[catalogRoot](s.w, "v3/catalog/index.json")
	require.Equal(s.t, s.w.base+"/v3/catalog/index.json", root.ID)
	require.Len(s.t, root.Items, root.Count)
	var last time.Time
	for _, ref := range root.Items {
		page := getJSON[catalogPage](s.w, strings.TrimPrefix(ref.ID, s.w.base+"/"))
		require.Equal(s.t, ref.commit, page.commit)
		require.Equal(s.t, root.ID, page.Parent)
		require.Len(s.t, page.Items, ref.Count)
		require.LessOrEqual(s.t, ref.Count, catalogPageSize)
		for _, item := range page.Items {
			require.False(s.t, item.CommitTimeStamp.Before(last))
			last = item.CommitTimeStamp.Time
		}
		require.Equal(s.t, last, page.CommitTimeStamp.Time)
		items = append(items, page.Items...)
	}
	require.Equal(s.t, last, root.CommitTimeStamp.Time)
	return items
}

func names(items []catalogItem) (all []string) {
	for _, i := range items {
		all = append(all, strings.TrimPrefix(i.Type, "nuget:Package")+" "+i.PackageID+" "+i.Version)
	}
	slices.Sort(all)
	return all
}

// TestCatalogChanges: each commit says what the versions that changed are like
// now, once.
func TestCatalogChanges(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	require.Empty(t, s.items(), "before the first commit")
	s.add("Acme", "1.0")
	require.Equal(t, 1, s.rebuild())
	require.Equal(t, []string{"Details Acme 1.0.0"}, names(s.items()))

	g, err := s.build(s.add("Acme", "1.1"), changed("Acme", "1.1"), changed("Gone", "3.0"), proget.Entry{Change: proget.VersionMoved, PackageKey: "acme", VersionKey: "1.0.0"})
	require.NoError(t, err)
	require.Equal(t, []string{"page0.json", catalogIndex}, g.Ended)
	items := s.items()
	require.Equal(t, []string{"Delete gone 3.0.0", "Details Acme 1.0.0", "Details Acme 1.1.0"}, names(items))
	require.Equal(t, items[1].commit, items[2].commit)
	require.NotEqual(t, items[0].commit, items[1].commit)
	for _, item := range items {
		leaf := getJSON[map[string]any](s.w, strings.TrimPrefix(item.ID, s.w.base+"/"))
		require.Equal(t, item.ID, leaf["@id"])
		require.Equal(t, item.PackageID, leaf["id"])
		require.Equal(t, item.Version, leaf["version"])
		if item.PackageID == "gone" {
			require.Len(t, leaf, 7, "there is nothing to tell but that it is gone")
			continue
		}
		require.Equal(t, "AP8=", leaf["packageHash"])
		require.InDelta(t, 7, leaf["packageSize"], 0)
		require.Equal(t, []any{"PackageDelete"}, leaf["tags"])
	}

	s.w.change("Acme", "1.1", func(st *proget.Status) { st.Blocked = true })
	s.w.change("Acme", "1.0", func(st *proget.Status) { st.Listed = false })
	_, err = s.build(changed("Acme", "1.0"), changed("Acme", "1.1"))
	require.NoError(t, err)
	require.Equal(t, []string{"Delete acme 1.1.0", "Details Acme 1.0.0"}, names(s.items()[3:]), "what nobody can have is as good as deleted")
	nothing, err := s.build(proget.Entry{Change: proget.VersionMoved, PackageKey: "acme", VersionKey: "1.0.0"})
	require.NoError(t, err)
	require.Nil(t, nothing)
}

// TestCatalogPages: a page is filled up to its size, then never touched again.
func TestCatalogPages(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.add("Acme", "1.0")
	s.rebuild()
	var first []byte
	for round := range 4 {
		var entries []proget.Entry
		for n := range 200 {
			entries = append(entries, s.add("Acme", fmt.Sprintf("%d.%d", round+2, n)))
		}
		if round == 3 {
			first = slices.Clone(s.files["page0.json"])
		}
		_, err := s.build(entries...)
		require.NoError(t, err)
	}
	require.Len(t, s.items(), 801)
	require.Contains(t, s.files, "page1.json")
	require.NotContains(t, s.files, "page2.json")
	require.Equal(t, first, s.files["page0.json"])
}

// TestCatalogLongNames: documents of the longest ids and versions have names that every
// database can keep, each its own.
func TestCatalogLongNames(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	var want []string
	for _, id := range []string{strings.Repeat("a", 99), strings.Repeat("a", 100)} {
		for _, last := range []string{"x", "y"} {
			version := "1.0.0-" + strings.Repeat("x", 248) + last
			s.add(id, version)
			want = append(want, "Details "+id+" "+version)
		}
	}
	s.rebuild()
	items := s.items()
	require.ElementsMatch(t, want, names(items))
	for _, item := range items {
		leaf := getJSON[catalogLeaf](s.w, strings.TrimPrefix(item.ID, s.w.base+"/"))
		require.Equal(t, []string{item.PackageID, item.Version}, []string{leaf.PackageID, leaf.Version})
	}
}

// TestCatalogRebuild: a catalog of what is there is made in steps, also within a
// package, and tells of each version once.
func TestCatalogRebuild(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	want := 0
	for id, versions := range map[string]int{"a": 399, "b": 1, "c": 1, "d": 950, "e": 3} {
		for n := range versions {
			s.add(id, fmt.Sprintf("1.%d", n))
			want++
		}
	}
	require.Equal(t, 4, s.rebuild())
	items := s.items()
	require.Len(t, items, want)
	all := names(items)
	require.Len(t, slices.Compact(all), want, "each once")

	before := items[len(items)-1].CommitTimeStamp
	s.rebuild()
	items = s.items()
	require.Len(t, items, want, "what was there before is not there any more")
	require.True(t, items[0].CommitTimeStamp.After(before.Time), "who followed the former one goes on with this")
}

// TestCatalogDamaged: a catalog that cannot be read is made anew; one that
// cannot be read now is left alone.
func TestCatalogDamaged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file    string
		err     error
		text    string
		rebuild bool
	}{
		"lost index":     {file: catalogIndex, err: proget.Errorf(proget.ErrNotFound, "gone"), rebuild: true},
		"damaged page":   {file: "page0.json", err: fmt.Errorf("read: %w", storage.ErrDamaged), rebuild: true},
		"no JSON":        {file: "page0.json", text: "{", rebuild: true},
		"storage silent": {file: catalogIndex, err: proget.Errorf(proget.ErrUnavailable, "wait")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			s.add("Acme", "1.0")
			s.rebuild()
			s.fail[tc.file] = tc.err
			if tc.text != "" {
				s.files[tc.file] = []byte(tc.text)
			}
			_, err := s.build(s.add("Acme", "1.1"))
			require.Error(t, err)
			if !tc.rebuild {
				require.NotErrorIs(t, err, repoindex.ErrRebuild)
				return
			}
			require.ErrorIs(t, err, repoindex.ErrRebuild)
			s.rebuild()
			delete(s.fail, tc.file)
			require.Len(t, s.items(), 2)
		})
	}
}

// TestCatalogClock: a node whose clock is behind goes on after what is there.
func TestCatalogClock(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.add("Acme", "1.0")
	s.rebuild()
	var root catalogRoot
	require.NoError(t, json.Unmarshal(s.files[catalogIndex], &root))
	root.CommitTimeStamp.Time = time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	s.files[catalogIndex], _ = json.Marshal(root)
	_, err := s.build(s.add("Acme", "1.1"))
	require.NoError(t, err)
	items := s.items()
	require.Equal(t, root.CommitTimeStamp.Add(100*time.Nanosecond), items[1].CommitTimeStamp.Time)
}

// TestCatalogConditional: a mirror that asks again is told that nothing changed.
func TestCatalogConditional(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.add("Acme", "1.0")
	s.rebuild()
	resp := s.w.get("v3/catalog/index.json")
	require.Equal(t, http.StatusNotModified, s.w.do("GET", "v3/catalog/index.json", nil, "If-None-Match", resp.Header().Get("ETag")).Code)
	require.Equal(t, http.StatusNotFound, s.w.get("v3/catalog/page9.json").Code)
	require.Equal(t, http.StatusNotFound, s.w.get("v3/catalog").Code)
	require.Equal(t, http.StatusNotFound, s.w.get("v3/catalog/../index.json").Code)
}
