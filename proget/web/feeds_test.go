package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

func TestFeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Equal(t, "/feeds", w.browser().get("/").Header().Get("Location"))
	anonymous := w.browser().page("/feeds")
	require.Contains(t, anonymous, "Our own packages")
	require.Contains(t, anonymous, "http://example.com/demo/main")
	require.NotContains(t, anonymous, "secret")
	require.NotContains(t, anonymous, "Administration")
	require.NotContains(t, w.as("ann").page("/feeds"), "secret")

	admin := w.as("admin").page("/feeds")
	require.Contains(t, admin, "http://example.com/demo/secret")
	require.Contains(t, admin, "Administration")
	require.NotContains(t, admin, "retired", "it is not active")
}

func TestTotals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 3 {
		w.publish(w.main, demoPackage{Name: fmt.Sprint("p", n/2), Version: fmt.Sprint(n)})
	}
	require.NoError(t, w.store.Tx(t.Context(), func(tx *db.Tx) error { return tx.AddFeedStats(t.Context(), w.main.ID, 0, 3) }))
	page := w.browser().page("/feeds")
	require.Contains(t, page, "2 packages")
	require.Contains(t, page, "3 versions")
}

func TestHiddenFeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.secret, demoPackage{Name: "plan", Version: "1"})
	for _, path := range []string{"/feeds/secret", "/feeds/secret/package?name=plan", "/feeds/secret/download?name=plan", "/feeds/secret/delete?name=plan"} {
		require.Equal(t, http.StatusSeeOther, w.browser().get(path).Code, path)
		denied := w.as("bob").get(path)
		require.Equal(t, http.StatusForbidden, denied.Code, path)
		require.Contains(t, denied.Body.String(), "Sign in with another account")
		require.NotContains(t, denied.Body.String(), "plan 1")
	}
	require.Equal(t, http.StatusForbidden, w.as("bob").get("/feeds/none-such").Code, "looks like a hidden one")
	require.Equal(t, http.StatusNotFound, w.as("admin").get("/feeds/none-such").Code)
	require.Equal(t, http.StatusNotFound, w.as("admin").get("/feeds/retired").Code)
}

func TestSearchAndPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 30 {
		w.publish(w.main, demoPackage{Name: fmt.Sprintf("Acme.P%02d", n), Version: "1.0", Summary: feed.Summary{Description: "Does a thing."}})
	}
	w.publish(w.main, demoPackage{Name: "Beta", Version: "2.0-beta", Prerelease: true})
	b := w.browser()

	first := b.page("/feeds/main")
	require.Contains(t, first, "30 packages, 1 to 25")
	require.Contains(t, first, "Acme.P24")
	require.NotContains(t, first, "Acme.P25")
	require.NotContains(t, first, "Previous")
	require.Contains(t, first, `href="/feeds/main?skip=25"`)
	second := b.page("/feeds/main?skip=25")
	require.Contains(t, second, "Acme.P29")
	require.NotContains(t, second, "Next →")
	require.NotContains(t, second, "Beta")

	require.Contains(t, b.page("/feeds/main?q=p07"), "1 package found for “p07”")
	require.Contains(t, b.page("/feeds/main?q=beta"), "Nothing matches")
	require.Contains(t, b.page("/feeds/main?q=beta&prerelease=on"), "2.0-beta")
	require.Contains(t, b.page("/feeds/main?skip=-7"), "1 to 25")
	require.Contains(t, b.page("/feeds/main?skip=many"), "1 to 25")
	require.Contains(t, b.page("/feeds/main?skip=99999999"), "There are no more packages.")
	require.Contains(t, b.page("/feeds/main?prerelease=on&q=Acme"), "prerelease=on&amp;q=Acme&amp;skip=25")
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "kept", Version: "1"})
	b := w.as("admin")
	require.NotContains(t, b.page("/feeds/main/package?name=kept"), "cannot be reached")
	w.away = errors.New("the network is down")
	page := b.page("/feeds/main/package?name=kept")
	require.Contains(t, page, "The database cannot be reached. This page may be out of date, and nothing can be changed until the database is back.")
	require.NotContains(t, page, "network is down")
	require.Contains(t, b.page("/feeds"), "may be out of date")

	require.NoError(t, w.store.Close())
	require.Equal(t, http.StatusOK, b.get("/feeds/main/package?name=kept").Code, "it is in memory")
	rec := b.get("/administration")
	require.NotEqual(t, http.StatusOK, rec.Code)
	require.NotContains(t, rec.Body.String(), "sql")
}

// TestNoChangeFromOldMemory: what cannot be asked for may say that the visitor may do
// no such thing any more.
func TestNoChangeFromOldMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "kept", Version: "1"})
	b := w.as("ann")
	require.Contains(t, b.page("/feeds/main/package?name=kept"), "kept")
	w.away = proget.Errorf(proget.ErrUnavailable, "The database did not answer in time.")
	rec := b.post("/feeds/main/delete?name=kept&version=1")
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	require.Contains(t, rec.Body.String(), "did not answer in time")
	w.away = nil
	require.Contains(t, b.page("/feeds/main/package?name=kept"), "kept")
}

func TestReadsAreNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	require.Equal(t, http.StatusNotFound, b.get("/feeds/main/package?name=late").Code)
	w.publish(w.main, demoPackage{Name: "late", Version: "1"})
	require.Contains(t, b.page("/feeds/main/package?name=late"), "late")
	require.NoError(t, w.publisher.Delete(t.Context(), feed.Ref{Feed: w.main, NameKey: "late", VersionKey: "1"}, proget.Principal{}))
	require.Equal(t, http.StatusNotFound, b.get("/feeds/main/package?name=late").Code)
}

// TestManyPackages: all packages of a feed can be reached, and a search that shows not
// all that it found says so.
func TestManyPackages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "core", Version: "1"})
	w.found = 50_000
	b := w.browser()
	const beyond = "A search shows no more than that."
	page := b.page("/feeds/main?skip=20000")
	require.Contains(t, page, "20,001 to 20,001")
	require.Contains(t, page, `href="/feeds/main?skip=20025" rel="next"`)
	require.NotContains(t, page, beyond)

	require.NotContains(t, b.page("/feeds/main?q=core&skip=9950"), beyond)
	page = b.page("/feeds/main?q=core&skip=20000")
	require.Contains(t, page, "9,976 to 9,976")
	require.Contains(t, page, beyond)
	require.NotContains(t, page, `rel="next"`)
	w.found = 9_990
	require.NotContains(t, b.page("/feeds/main?q=core&skip=9975"), beyond)
}
