package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/web"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := web.New(web.Config{})
	require.ErrorContains(t, err, "must be set")
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/feeds", "/none", "/administration", "/static/none.css"} {
		h := w.browser().get(path).Header()
		require.Equal(t, "default-src 'none'; style-src 'self'; img-src 'self' data: https:; script-src 'self'; connect-src 'self'; "+
			"form-action 'self'; frame-ancestors 'none'; base-uri 'none'", h.Get("Content-Security-Policy"), path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.NotEmpty(t, h.Get("Referrer-Policy"), path)
	}
	require.Equal(t, "no-store", w.browser().get("/feeds").Header().Get("Cache-Control"))
}

// TestNoInlineCode: what the content policy forbids would silently not work.
func TestNoInlineCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cluster()
	w.publish(w.main, demoPackage{Name: "p", Version: "1"})
	w.working()
	admin := w.as("admin")
	inline := regexp.MustCompile(`(?i)\sstyle=|<style|\son[a-z]+=|<script[^>]*>[^<]`)
	for _, path := range []string{
		"/feeds", "/feeds/main", "/feeds/main/package?name=p", "/feeds/main/delete?name=p", "/sign-in", "/administration",
		"/administration/cluster", "/administration/load-balancing", "/administration/high-availability",
		"/administration/create-feed", "/administration/feeds/main", "/administration/keys", "/administration/users", "/administration/user?subject=user%3Aann",
	} {
		page := admin.page(path)
		require.NotRegexp(t, inline, page, path)
		require.NotContains(t, page, "ZgotmplZ", path)
		require.Contains(t, page, `<main id="main">`, path)
		require.Contains(t, page, "<h1>", path)
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	links := regexp.MustCompile(`/static/[a-z]+\.[0-9a-f]{12}\.[a-z]+`).FindAllString(b.page("/feeds"), -1)
	require.GreaterOrEqual(t, len(links), 3)
	for _, link := range links {
		rec := b.get(link)
		require.Equal(t, http.StatusOK, rec.Code, link)
		require.Equal(t, "public, max-age=31536000, immutable", rec.Header().Get("Cache-Control"))
		require.NotEmpty(t, rec.Header().Get("Content-Type"))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
		r.Header.Set("If-None-Match", rec.Header().Get("ETag"))
		require.Equal(t, http.StatusNotModified, b.do(r).Code)
	}
	other := b.get("/static/style.0123456789ab.css") // of another release
	require.Equal(t, http.StatusOK, other.Code)
	require.Equal(t, "no-cache", other.Header().Get("Cache-Control"))
	require.Equal(t, http.StatusNotFound, b.get("/static/secrets.txt").Code)
}

func TestForgedForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	send := func(headers ...string) int {
		r := admin.form("/administration/high-availability", "on", "true")
		r.Header.Del("Sec-Fetch-Site")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return admin.do(r).Code
	}
	require.Equal(t, http.StatusForbidden, send("Sec-Fetch-Site", "cross-site"))
	require.Equal(t, http.StatusForbidden, send("Sec-Fetch-Site", "same-site"))
	require.Equal(t, http.StatusForbidden, send("Origin", "https://evil.example"))
	require.Equal(t, http.StatusForbidden, send("Origin", "null"))
	require.Equal(t, http.StatusForbidden, send("Sec-Fetch-Site", "cross-site", "Origin", "http://example.com"))
	modes, err := w.registry.Modes(t.Context())
	require.NoError(t, err)
	require.False(t, modes.HighAvailability)

	require.Equal(t, http.StatusSeeOther, send("Origin", "http://example.com"))
	require.Equal(t, http.StatusSeeOther, send("Sec-Fetch-Site", "same-origin"))
	w.base = "http://feeds.example" // a proxy in front has rewritten Host
	require.Equal(t, http.StatusSeeOther, send("Origin", "http://feeds.example"))

	r := w.browser().form("/sign-in", "user", "ann", "password", password)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, w.browser().do(r).Code)
}

// TestChangesAreGuarded: a server that must not take changes is read, and no more.
func TestChangesAreGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "p", Version: "1"})
	w.closed = proget.Errorf(proget.ErrUnavailable, "This server has another key.")
	admin := w.as("admin")
	for path, fields := range map[string][]string{
		"/administration/keys":                         {"name", "k", "task", "view"},
		"/administration/high-availability":            {"on", "true"},
		"/feeds/main/status?name=p&version=1":          {"listed", "false"},
		"/feeds/main/delete?name=p&version=1":          nil,
		"/administration/user/delete?subject=user:bob": nil,
	} {
		rec := admin.post(path, fields...)
		require.Equal(t, http.StatusServiceUnavailable, rec.Code, path)
		require.Contains(t, rec.Body.String(), "This server has another key.", path)
	}
	require.NotContains(t, admin.page("/feeds/main/package?name=p"), "List again")
	require.Contains(t, admin.page("/administration/keys"), "There are no API keys.")
	require.Equal(t, http.StatusSeeOther, admin.post("/sign-out").Code)
}

// TestRefusedFormLoadedAgain: the address of a form leads to its page.
func TestRefusedFormLoadedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "p", Version: "1"})
	admin := w.as("admin")
	require.Equal(t, http.StatusConflict, admin.post("/administration/feeds/main/delete").Code)
	for from, to := range map[string]string{
		"/administration/feeds/main/delete":                  "/administration/feeds/main",
		"/administration/feeds/a%2fb/retention/run":          "/administration/feeds/a/b/retention",
		"/administration/keys/delete":                        "/administration/keys",
		"/administration/scheduled-jobs/run":                 "/administration/scheduled-jobs",
		"/administration/user/grant?subject=user%3Aann&key=": "/administration/user?subject=user%3Aann",
	} {
		require.Equal(t, to, admin.get(from).Header().Get("Location"))
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.browser().get("/no/such/page")
	require.Equal(t, http.StatusNotFound, rec.Code)
	require.Contains(t, rec.Body.String(), "There is no page at this address.")
	require.Equal(t, http.StatusSeeOther, w.browser().get("/feeds/none").Code, "who may not see all is not told what exists")

	admin := w.as("admin")
	w.broken = io.ErrUnexpectedEOF
	rec = admin.get("/feeds/main/deleted")
	require.Equal(t, http.StatusInternalServerError, rec.Code)
	require.NotContains(t, rec.Body.String(), "EOF", "nothing internal is shown")
	require.Contains(t, rec.Body.String(), "its log says why")

	w.broken = nil
	head := admin.do(httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/feeds", nil))
	require.Equal(t, http.StatusOK, head.Code)
}
