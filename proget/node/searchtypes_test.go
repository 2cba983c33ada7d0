package node_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/node"
)

// nugetOnly makes a node that does not know the world's other types, as before an upgrade.
func nugetOnly(c *node.Config) { c.Feeds = []feed.Type{nuget.New(nil)} }

// TestIndexOfUnknownType: a node that does not know a feed's type indexes nothing of it, in silence
// neither, and takes it from nobody: not from who begins with its snapshot, nor from itself once it knows the type.
func TestIndexOfUnknownType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, "a", webOnly)
	tool := archive(t, "upack.json", `{"name":"tool","version":"1.0.0","description":"Made for humans."}`)
	resp, text := ask(t, "PUT", a.URL+"/upack/universal/upload", tool, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	publish(t, a.URL, "Acme.Lib", "1.0")
	finds := func(base string) func() bool {
		return func() bool {
			resp, text := ask(t, "GET", base+"/upack/universal/search?term=humans", nil)
			return resp.StatusCode == http.StatusOK && resp.Header.Get("Warning") == "" && strings.Contains(text, `"tool"`)
		}
	}
	folder := t.TempDir()
	t.Run("before", func(t *testing.T) { // the node ends with it
		var logs testenv.LogBuffer
		b := w.start(t, "b", nugetOnly, func(c *node.Config) {
			c.CacheDir, c.SnapshotEvery, c.Logger = folder, time.Millisecond, slog.New(slog.NewTextHandler(&logs, nil))
		})
		require.Eventually(t, func() bool { return strings.Contains(logs.String(), "snapshot of the search index was published") }, 10*time.Second, 20*time.Millisecond)
		_, text := ask(t, "GET", b.URL+"/health/ready", nil)
		require.Contains(t, text, "does not serve feeds of the type universal: universal")
		names, database := found(t, b.URL, "q=acme")
		require.Equal(t, "1 Acme.Lib", names)
		require.False(t, database, "its own feeds are complete")
		_, text = ask(t, "GET", b.URL+"/metrics", nil)
		require.Contains(t, text, "proget_index_lag_entries 0", "what it does not follow is no lag")
	})
	c := w.start(t, "c", webOnly)
	require.Eventually(t, finds(c.URL), 10*time.Second, 20*time.Millisecond, "who adopts the snapshot")
	upgraded := w.start(t, "b", webOnly, func(c *node.Config) { c.CacheDir = folder })
	require.Eventually(t, finds(upgraded.URL), 10*time.Second, 20*time.Millisecond, "who was upgraded")
	_, text = ask(t, "GET", upgraded.URL+"/health/ready", nil)
	require.NotContains(t, text, "does not serve")
}

// edition makes a node of a release in which NuGet's Summary says something of its own.
func edition(number int, words string) func(*node.Config) {
	return func(c *node.Config) {
		typ := nuget.New(nil)
		typ.SummaryVersion = number
		typ.Summary = func(*proget.Version) feed.Summary { return feed.Summary{Description: words} }
		c.Feeds = []feed.Type{typ}
	}
}

// TestSummaryChanged: what a type's Summary tells now is what search finds, also if nothing has happened
// in the feed: in the index that a node has, and in one that it takes over from a node of another release.
func TestSummaryChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder := t.TempDir()
	kept := func(c *node.Config) { c.CacheDir = folder }
	var logs testenv.LogBuffer
	logged := func(c *node.Config) { c.Logger = slog.New(slog.NewTextHandler(&logs, nil)) }
	shows := func(t *testing.T, base, words, not string) {
		require.Eventually(t, func() bool {
			names, database := found(t, base, "q="+words)
			none, _ := found(t, base, "q="+not)
			return !database && names == "1 Acme.Lib" && none == "0"
		}, 10*time.Second, 20*time.Millisecond)
	}
	t.Run("older", func(t *testing.T) { // the node ends with it
		a := w.start(t, "a", kept, edition(1, "gray"), logged, func(c *node.Config) { c.SnapshotEvery = time.Millisecond }).URL
		publish(t, a, "Acme.Lib", "1.0")
		shows(t, a, "gray", "green")
		require.Eventually(t, func() bool { return strings.Contains(logs.String(), "snapshot of the search index was published") }, 10*time.Second, 20*time.Millisecond)
	})
	t.Run("newer", func(t *testing.T) {
		shows(t, w.start(t, "a", kept, edition(2, "green")).URL, "green", "gray")
		shows(t, w.start(t, "b", webOnly, logged, edition(2, "green")).URL, "green", "gray")
		require.Contains(t, logs.String(), "initialized from the cluster's snapshot")
	})
	t.Run("back", func(t *testing.T) { shows(t, w.start(t, "a", kept, edition(1, "gray")).URL, "gray", "green") })
	t.Run("the same", func(t *testing.T) {
		var logs testenv.LogBuffer
		shows(t, w.start(t, "a", kept, edition(1, "gray"), func(c *node.Config) { c.Logger = slog.New(slog.NewTextHandler(&logs, nil)) }).URL, "gray", "green")
		require.NotContains(t, logs.String(), "of a feed was rebuilt")
	})
}
