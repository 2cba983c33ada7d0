package node_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/node"
)

// still makes a node that does nothing but answer: it has what a node has
// before its index is built.
func (w *world) still(t *testing.T, name string, change ...func(*node.Config)) *httptest.Server {
	t.Helper()
	store, err := sqlite.Open(t.Context(), w.database, nil)
	require.NoError(t, err)
	cfg := node.Config{DB: store, Blobs: w.blobs, Keys: w.keys, Feeds: []feed.Type{nuget.New(nil)}, Name: name,
		CacheDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	n, err := node.New(t.Context(), cfg)
	require.NoError(t, err)
	server := httptest.NewServer(n.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, n.Close())
		require.NoError(t, store.Close())
	})
	return server
}

func publish(t testing.TB, base, name, version string) {
	t.Helper()
	resp, text := ask(t, "PUT", base+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, name, version), "X-NuGet-ApiKey", apiKey)
	require.Equal(t, http.StatusCreated, resp.StatusCode, text)
}

// found searches and returns the names with the total, and whether the database
// answered.
func found(t testing.TB, base, query string) (names string, database bool) {
	t.Helper()
	resp, text := ask(t, "GET", base+"/nuget/nuget/v3/search?"+query, nil)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	var doc struct {
		TotalHits int
		Data      []struct{ ID string }
	}
	require.NoError(t, json.Unmarshal([]byte(text), &doc))
	names = fmt.Sprint(doc.TotalHits)
	for _, d := range doc.Data {
		names += " " + d.ID
	}
	return names, resp.Header.Get("Warning") != ""
}

// TestSearchFromDatabase: until its index is built, a node answers from the
// database, and says so.
func TestSearchFromDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	indexed := w.start(t, "a").URL
	for _, p := range []string{"Acme.Json 1.0", "Json 1.0", "Acme.Pre 1.0-rc", "Acme.New 1.0.0-rc.1", "Json.Acme 2.0"} {
		var name, version string
		_, err := fmt.Sscan(p, &name, &version)
		require.NoError(t, err)
		publish(t, indexed, name, version)
	}
	bare := w.still(t, "b").URL
	for query, want := range map[string]string{
		"semVerLevel=2.0.0":                                  "3 Acme.Json Json Json.Acme",
		"q=json&semVerLevel=2.0.0":                           "3 Json Acme.Json Json.Acme",
		"q=json&semVerLevel=2.0.0&take=1&skip=1":             "3 Acme.Json",
		"q=json&take=1&skip=1":                               "3 Acme.Json",
		"q=Acme.Json&semVerLevel=2.0.0":                      "1 Acme.Json",
		"q=acme&semVerLevel=2.0.0&prerelease=true":           "4 Acme.Json Acme.New Acme.Pre Json.Acme",
		"q=acme&prerelease=true":                             "3 Acme.Json Acme.Pre Json.Acme",
		"q=id:acme&semVerLevel=2.0.0":                        "1 Acme.Json",
		"q=...&semVerLevel=2.0.0":                            "0",
		"packageType=Dependency&q=id:json&semVerLevel=2.0.0": "2 Json Json.Acme",
		"packageType=DotnetTool":                             "0",
	} {
		names, database := found(t, bare, query)
		require.Equal(t, want, names, query)
		require.True(t, database)
	}
	names, _ := found(t, indexed, "q=acme&prerelease=true")
	require.Equal(t, "3 Acme.Json Acme.Pre Json.Acme", names, "what needs SemVer 2 is not counted for old clients")
	resp, _ := ask(t, "GET", bare+"/feeds/nuget?q=json", nil)
	require.Contains(t, resp.Header.Get("Warning"), "199", "pages too")
	require.Eventually(t, func() bool {
		_, database := found(t, indexed, "q=json")
		return !database
	}, 10*time.Second, 50*time.Millisecond)
}

// TestCapitalsFromDatabase: names of a type that keeps their case are found without regard to it, and
// ones without words by the whole of them, also until the index is built.
func TestCapitalsFromDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	typ := nuget.New(nil)
	typ.NameKey = func(name string) string { return name }
	keeping := func(c *node.Config) { c.Feeds = []feed.Type{typ} }
	indexed := w.start(t, "a", keeping).URL
	for _, name := range []string{"Acme.HikariCP", "acme.lib", "_", strings.Repeat("Long", 20)} {
		publish(t, indexed, name, "1.0")
	}
	bare := w.still(t, "b", keeping).URL
	for query, want := range map[string]string{
		"q=acme.hikaricp":                     "1 Acme.HikariCP",
		"q=Hikari":                            "1 Acme.HikariCP",
		"q=ACME":                              "2 Acme.HikariCP acme.lib",
		"q=_":                                 "1 _",
		"q=" + strings.Repeat("long", 20):     "1 " + strings.Repeat("Long", 20),
		"q=" + strings.Repeat("long", 20)[1:]: "0",
		"":                                    "4 _ Acme.HikariCP acme.lib " + strings.Repeat("Long", 20),
	} {
		names, database := found(t, bare, query)
		require.Equal(t, want, names, query)
		require.True(t, database)
		require.Eventually(t, func() bool {
			names, database = found(t, indexed, query)
			return !database
		}, 10*time.Second, 50*time.Millisecond)
		require.Equal(t, want, names, query)
	}
}

// TestIndexWithoutHistory: what the log does not tell any more is read from the
// packages, and what has gone meanwhile is not found.
func TestIndexWithoutHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder := t.TempDir()
	kept := func(c *node.Config) { c.CacheDir = folder }
	var a string
	t.Run("before", func(t *testing.T) { // the node ends with it
		a = w.start(t, "a", kept).URL
		for n := range 5 {
			publish(t, a, fmt.Sprintf("Acme.Old%d", n), "1.0")
		}
		require.Eventually(t, func() bool {
			names, database := found(t, a, "q=acme")
			return !database && names == "5 Acme.Old0 Acme.Old1 Acme.Old2 Acme.Old3 Acme.Old4"
		}, 10*time.Second, 50*time.Millisecond)
	})
	b := w.start(t, "b").URL
	publish(t, b, "Acme.Late", "1.0")
	resp, _ := ask(t, "POST", b+"/api/packages/nuget/delete?name=Acme.Old0&version=1.0", nil, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	w.compact(t)
	a = w.start(t, "a", kept).URL
	want := "5 Acme.Late Acme.Old1 Acme.Old2 Acme.Old3 Acme.Old4"
	names, _ := found(t, a, "q=acme")
	require.Equal(t, want, names, "at once, wherever it comes from")
	require.Eventually(t, func() bool {
		names, database := found(t, a, "q=acme")
		return !database && names == want
	}, 10*time.Second, 50*time.Millisecond)
	publish(t, a, "Acme.Zebra", "1.0")
	names, _ = found(t, a, "q=acme.zebra")
	require.Equal(t, "1 Acme.Zebra", names)
}

// TestIndexOfAnotherLog: an index that has seen what a restored database does not know is
// built anew, also if the log has as many entries again, or more.
func TestIndexOfAnotherLog(t *testing.T) {
	t.Parallel()
	for name, since := range map[string][]string{"as many": {"Acme.Three"}, "more": {"Acme.Three", "Acme.Four"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			folder := t.TempDir()
			kept := func(c *node.Config) { c.CacheDir = folder }
			indexed := func(base, want string) {
				require.Eventually(t, func() bool {
					names, database := found(t, base, "q=acme")
					return !database && names == want
				}, 30*time.Second, 50*time.Millisecond)
			}
			run := func(step string, fn func(base string), change ...func(*node.Config)) { // the node ends with it
				t.Run(step, func(t *testing.T) { fn(w.start(t, "a", change...).URL) })
			}
			run("before", func(base string) { publish(t, base, "Acme.One", "1.0") })
			backup, err := os.ReadFile(w.database)
			require.NoError(t, err)
			run("lost", func(base string) {
				publish(t, base, "Acme.Two", "1.0")
				indexed(base, "2 Acme.One Acme.Two")
			}, kept)
			require.NoError(t, os.WriteFile(w.database, backup, 0o600))
			want := []string{"Acme.One"}
			run("since", func(base string) {
				for _, name := range since {
					publish(t, base, name, "1.0")
				}
			})
			want = append(want, since...)
			slices.Sort(want)
			run("after", func(base string) {
				indexed(base, fmt.Sprint(len(want))+" "+strings.Join(want, " "))
			}, kept)
		})
	}
}

// compact removes all but the newest entry of each feed's log.
func (w *world) compact(t *testing.T) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+w.database+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(t.Context(), "DELETE FROM feed_log WHERE seq < (SELECT head FROM feed_head h WHERE h.feed_id = feed_log.feed_id)")
	require.NoError(t, err)
}

// TestIndexDamaged: a node starts whatever has become of its index.
func TestIndexDamaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder := t.TempDir()
	kept := func(c *node.Config) { c.CacheDir = folder }
	t.Run("before", func(t *testing.T) {
		publish(t, w.start(t, "a", kept).URL, "Acme.Lib", "1.0")
	})
	segments, err := filepath.Glob(filepath.Join(folder, "search", "store", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, segments)
	for _, path := range segments {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = io.WriteString(f, "what is this?")
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	a := w.start(t, "a", kept).URL
	names, _ := found(t, a, "q=acme")
	require.Equal(t, "1 Acme.Lib", names)
	require.Eventually(t, func() bool {
		names, database := found(t, a, "q=lib")
		return !database && names == "1 Acme.Lib"
	}, 10*time.Second, 50*time.Millisecond)
}

// TestSnapshot: a new node begins with the index that the primary published, and
// goes on with what happened since.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var logs testenv.LogBuffer
	logged := func(c *node.Config) { c.Logger = slog.New(slog.NewTextHandler(&logs, nil)) }
	a := w.start(t, "a", logged, func(c *node.Config) { c.Roles, c.SnapshotEvery = []string{node.RoleIndex}, time.Millisecond })
	b := w.start(t, "b", func(c *node.Config) { c.Roles = []string{node.RoleWeb} })
	for n := range 3 {
		publish(t, b.URL, fmt.Sprint("Acme.Lib", n), "1.0")
	}
	require.Eventually(t, func() bool { return strings.Count(logs.String(), "snapshot of the search index was published") > 0 }, 10*time.Second, 20*time.Millisecond)
	publish(t, b.URL, "Acme.Late", "1.0")
	w.compact(t) // nor does the log tell what was before
	c := w.start(t, "c", logged, func(c *node.Config) { c.Roles = []string{node.RoleWeb} })
	require.Eventually(t, func() bool {
		names, database := found(t, c.URL, "q=acme")
		return !database && strings.HasPrefix(names, "4 ")
	}, 10*time.Second, 20*time.Millisecond)
	require.Contains(t, logs.String(), "initialized from the cluster's snapshot")
	resp, _ := ask(t, "GET", a.URL+"/health/ready", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestSummaryPanics: a type that panics at a package ends nothing, and the package is found by its name,
// if it can be read.
func TestSummaryPanics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var logs testenv.LogBuffer
	a := w.start(t, "a", func(c *node.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&logs, nil))
		typ := nuget.New(nil)
		summary := typ.Summary
		typ.Summary = func(v *proget.Version) feed.Summary {
			if v.Name == "Acme.Boom" {
				panic("what is this?")
			}
			return summary(v)
		}
		compare := typ.CompareVersions
		typ.CompareVersions = func(a, b string) int {
			if a == "6.6.6" {
				panic("what order is this?")
			}
			return compare(a, b)
		}
		c.Feeds = []feed.Type{typ}
	}).URL
	for _, name := range []string{"Acme.Boom", "Acme.Lib"} {
		publish(t, a, name, "1.0")
	}
	for _, version := range []string{"1.0", "6.6.6"} {
		publish(t, a, "Acme.Disorder", version)
	}
	require.Eventually(t, func() bool {
		names, database := found(t, a, "q=acme")
		return !database && names == "2 Acme.Boom Acme.Lib"
	}, 10*time.Second, 50*time.Millisecond)
	resp, _ := ask(t, "GET", a+"/nuget/nuget/v3/registration/acme.disorder/index.json", nil)
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	for _, said := range []string{"Acme.Boom", "what is this?", "acme.disorder", "what order is this?", "TestSummaryPanics"} {
		require.Contains(t, logs.String(), said)
	}
}

// fullIndex is an index whose disk takes no writes while it is full.
type fullIndex struct {
	search.Index
	full    atomic.Bool
	applied atomic.Int64
	refused atomic.Int64
}

func (x *fullIndex) Update(ctx context.Context, feed int64, changes []search.Change, from, to int64, operation string) error {
	if x.full.Load() {
		x.refused.Add(1)
		return search.ErrUnwritable
	}
	x.applied.Add(1)
	return x.Index.Update(ctx, feed, changes, from, to, operation)
}

// TestFullIndex: an index that cannot be written answers what it has, and goes on when it can.
func TestFullIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept, err := bleve.Open(t.TempDir())
	require.NoError(t, err)
	x := &fullIndex{Index: kept}
	t.Cleanup(func() { require.NoError(t, kept.Close()) })
	a := w.start(t, "a", func(c *node.Config) { c.Search = x }).URL
	publish(t, a, "Acme.Old", "1.0")
	shows := func(want string) func() bool {
		return func() bool {
			names, database := found(t, a, "q=acme")
			return !database && names == want
		}
	}
	require.Eventually(t, func() bool { return x.applied.Load() > 0 }, 10*time.Second, 50*time.Millisecond)
	require.Eventually(t, shows("1 Acme.Old"), 10*time.Second, 50*time.Millisecond)
	x.full.Store(true)
	publish(t, a, "Acme.New", "1.0")
	require.Eventually(t, func() bool { return x.refused.Load() > 1 }, 10*time.Second, 50*time.Millisecond)
	names, database := found(t, a, "q=acme")
	require.False(t, database)
	require.Equal(t, "1 Acme.Old", names)
	x.full.Store(false)
	require.Eventually(t, shows("2 Acme.New Acme.Old"), 20*time.Second, 50*time.Millisecond)
}
