package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/proget/feed"
)

// TestNarrowPages: nobody who reads on a telephone has to scroll sideways, whatever
// is long, and a field is wide enough for what it holds.
func TestNarrowPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := testenv.StartBrowser(t)
	w.cluster()
	now, err := w.store.Clock(t.Context())
	require.NoError(t, err)
	long := strings.Repeat("long_name_", 9)
	w.server(long, cluster.Self{Roles: []string{cluster.RoleWeb}, Ready: true, Lags: cluster.Lags{Minute: now.Unix() / 60, Peaks: []int64{3}}}, 0)
	w.publish(w.main, demoPackage{Name: long, Version: "1.0-" + long, Summary: feed.Summary{Title: long, Description: long, Tags: []string{long}}})
	w.working()
	w.as("admin").post("/administration/keys", "name", long, "task", "view")
	server := httptest.NewServer(w.handler)
	defer server.Close()

	b.Follow(chromedp.Navigate(server.URL + "/sign-in"))
	b.Do(chromedp.SendKeys(chromedp.CSS("#user"), "admin"), chromedp.SendKeys(chromedp.CSS("#password"), password))
	b.Follow(chromedp.Click(chromedp.CSS(".narrow button")))
	b.Follow(chromedp.Navigate(server.URL + "/administration/scheduled-jobs"))
	require.GreaterOrEqual(t, testenv.Evaluate[int](b, `document.querySelector("input[name=expression]").clientWidth`), 150)
	b.Do(chromedp.EmulateViewport(400, 800))
	for _, path := range []string{"/feeds", "/feeds/main", "/feeds/main/package?name=" + long, "/feeds/main?q=" + strings.Repeat("x", 150), "/feeds/main/deleted", "/administration", "/administration/keys",
		"/administration/users", "/administration/user?subject=user:ann", "/administration/storages", "/administration/scheduled-jobs", "/administration/jobs/1",
		"/administration/cluster", "/administration/feeds/main", "/administration/feeds/main/retention"} {
		b.Follow(chromedp.Navigate(server.URL + path))
		require.LessOrEqual(t, testenv.Evaluate[int](b, `document.documentElement.scrollWidth`), 400, path)
	}
}

// TestFormSentOnce: a double click sends a form once.
func TestFormSentOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := testenv.StartBrowser(t)
	server := httptest.NewServer(w.handler)
	defer server.Close()
	b.Follow(chromedp.Navigate(server.URL + "/sign-in"))
	sent := testenv.Evaluate[int](b, `(() => {
		let sent = 0;
		addEventListener("submit", (event) => { if (!event.defaultPrevented) sent++; event.preventDefault(); });
		const form = document.querySelector(".narrow");
		for (const field of form.querySelectorAll("input")) field.value = "x";
		for (let click = 0; click < 2; click++) form.querySelector("button").click();
		return sent;
	})()`)
	require.Equal(t, 1, sent)
}

// TestRecoveredPage: a page that was away for a moment comes back whole, and then stays
// as it is. What is typed in a page that refreshes is not overwritten.
func TestRecoveredPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := testenv.StartBrowser(t)
	w.broken = proget.Errorf(proget.ErrUnavailable, "The database did not answer in time.")
	unavailable := w.as("ann").get("/feeds/main/deleted")
	require.Equal(t, http.StatusServiceUnavailable, unavailable.Code)
	var back atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/feeds/main" && !back.Load() {
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			rw.WriteHeader(unavailable.Code)
			_, _ = rw.Write(unavailable.Body.Bytes())
			return
		}
		w.handler.ServeHTTP(rw, r)
	}))
	defer server.Close()
	require.Equal(t, http.StatusServiceUnavailable, b.Follow(chromedp.Navigate(server.URL+"/feeds/main")))
	require.Equal(t, "2", testenv.Evaluate[string](b, `document.body.dataset.refresh`))
	back.Store(true)
	require.Eventually(t, func() bool { return strings.HasPrefix(testenv.Evaluate[string](b, `document.title`), "main ") }, time.Minute, 100*time.Millisecond)
	require.Equal(t, "none", testenv.Evaluate[string](b, `document.body.dataset.refresh ?? "none"`))

	w.publish(w.main, demoPackage{Name: "new", Version: "1"})
	b.Do(chromedp.SetValue(chromedp.CSS("input[name=q]"), "typed"))
	testenv.Evaluate[bool](b, `refresh().finally(() => { window.refreshed = true; }), true`)
	require.Eventually(t, func() bool { return testenv.Evaluate[bool](b, `window.refreshed ?? false`) }, time.Minute, 50*time.Millisecond)
	require.Equal(t, "typed", testenv.Evaluate[string](b, `document.querySelector("input[name=q]").value`))
}
