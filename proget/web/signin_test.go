package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/auth"
)

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	rec := b.get("/feeds/secret?q=a")
	require.Equal(t, http.StatusSeeOther, rec.Code)
	signIn := rec.Header().Get("Location")
	require.Equal(t, "/sign-in?return=%2Ffeeds%2Fsecret%3Fq%3Da", signIn)
	require.Contains(t, b.page(signIn), `name="return" value="/feeds/secret?q=a"`)

	rec = b.post("/sign-in", "user", "ADMIN", "password", password, "return", "/feeds/secret?q=a")
	require.Equal(t, http.StatusSeeOther, rec.Code)
	require.Equal(t, "/feeds/secret?q=a", rec.Header().Get("Location"))
	cookie := b.cookies[auth.CookieName]
	require.True(t, cookie.HttpOnly)
	require.False(t, cookie.Secure, "the site is reached by http")
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	require.Contains(t, b.page("/feeds/secret"), "Sign out")

	rec = b.post("/sign-out")
	require.Equal(t, http.StatusSeeOther, rec.Code)
	require.Empty(t, b.cookies)
	require.Equal(t, http.StatusSeeOther, b.get("/feeds/secret").Code)
}

func TestSecureCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.base = "https://feeds.example"
	require.True(t, w.as("ann").cookies[auth.CookieName].Secure)
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, user := range []string{"ann", "nobody<i>"} {
		b := w.browser()
		rec := b.post("/sign-in", "user", user, "password", "guess", "return", "/feeds/main")
		require.Equal(t, http.StatusUnauthorized, rec.Code)
		require.Empty(t, b.cookies)
		require.Empty(t, rec.Header().Get("WWW-Authenticate"), "the browser must not ask in the form's place")
		require.Contains(t, rec.Body.String(), "The user name or the password is wrong.")
		require.Contains(t, rec.Body.String(), `value="/feeds/main"`, "the way back is kept")
		require.NotContains(t, rec.Body.String(), "guess")
		require.NotContains(t, rec.Body.String(), "<i>")
	}
}

func TestReturnStaysOnSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for target, want := range map[string]string{
		"/administration":      "/administration",
		"/feeds/main?q=a%2Fb":  "/feeds/main?q=a%2Fb",
		"":                     "/feeds",
		"//evil.example":       "/feeds",
		"/\\evil.example":      "/feeds",
		"/\t/evil.example":     "/feeds",
		"/\n/evil.example":     "/feeds",
		"https://evil.example": "/feeds",
		"evil.example":         "/feeds",
		"javascript:alert(1)":  "/feeds",
		"/sign-in?return=/":    "/feeds",
	} {
		rec := w.browser().post("/sign-in", "user", "ann", "password", password, "return", target)
		require.Equal(t, http.StatusSeeOther, rec.Code)
		require.Equal(t, want, rec.Header().Get("Location"), "%q", target)
		form := w.browser().page("/sign-in?" + url.Values{"return": {target}}.Encode())
		require.NotContains(t, form, "evil.example")
	}
}

func TestExpiredSessionReturnsToTheFormsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	r := b.form("/administration/cluster/remove", "name", "web9")
	r.Header.Set("Referer", "http://example.com/administration/cluster?refresh=off")
	require.Equal(t, "/sign-in?return=%2Fadministration%2Fcluster%3Frefresh%3Doff", b.do(r).Header().Get("Location"))
	r = b.form("/administration/cluster/remove", "name", "web9")
	r.Header.Set("Referer", "http://evil.example/administration")
	require.Equal(t, "/sign-in?return=%2Ffeeds", b.do(r).Header().Get("Location"))
}

// TestBadCredentialsOfTheRequestAreNotRedirected: they are refused, as everywhere, with
// a challenge. Only a browser that sends a wrong password by itself is to ask for one.
func TestBadCredentialsOfTheRequestAreNotRedirected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.browser().get("/feeds?key=wrong")
	require.Equal(t, http.StatusUnauthorized, rec.Code)
	require.Equal(t, `Bearer realm="ProGet"`, rec.Header().Get("WWW-Authenticate"))
	require.Contains(t, w.log.String(), `level=WARN msg="credentials were refused" path=/feeds remote=`)

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/feeds/main", nil)
	r.SetBasicAuth("ann", "guess")
	rec = w.browser().do(r)
	require.Equal(t, http.StatusUnauthorized, rec.Code)
	require.Contains(t, rec.Header().Get("WWW-Authenticate"), "Basic ")
	require.Contains(t, w.log.String(), "path=/feeds/main ")
	require.NotContains(t, w.log.String(), "guess")
}
