package node_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/node"
)

// session signs the administrator in and returns the cookie.
func session(t *testing.T, server string) string {
	t.Helper()
	resp, _ := ask(t, "POST", server+"/sign-in", []byte("user=Admin&password=password"), "Content-Type", formType)
	require.Len(t, resp.Cookies(), 1)
	c := resp.Cookies()[0]
	return c.Name + "=" + c.Value
}

// TestOtherSites: no route lets another site change anything in the name of who
// is signed in, and none can be framed or run what strangers have uploaded.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	cookie := session(t, w.url)
	before := w.fingerprint(t)
	for _, r := range accessRules(t) {
		method, path, _ := strings.Cut(r.request, " ")
		contentType, body, _ := strings.Cut(r.body, " ")
		for _, from := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
			resp, text := ask(t, method, w.url+path, []byte(body), "Content-Type", contentType, "Cookie", cookie, from[0], from[1])
			said := fmt.Sprintf("%s from %s: %d %.200s", r.request, from, resp.StatusCode, text)
			for _, header := range []string{"Content-Security-Policy", "X-Frame-Options"} {
				assert.Len(t, resp.Header.Values(header), 1, said)
			}
			assert.Equal(t, []string{"nosniff"}, resp.Header.Values("X-Content-Type-Options"), said)
			assert.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'", said)
			if method == http.MethodGet || r.who == everybody {
				continue
			}
			assert.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, resp.StatusCode, said)
			assert.Contains(t, text, "another site", said)
		}
	}
	require.Equal(t, before, w.fingerprint(t))
}

// TestForeignContent: what was uploaded is not run by a browser that is signed in,
// whatever it says that it is.
func TestForeignContent(t *testing.T) {
	t.Parallel()
	server := newWorld(t).start(t, "a", webOnly, func(c *node.Config) { c.Feeds = []feed.Type{asset.New(), nuget.New(nil)} }).URL
	const script = `<script>alert(document.cookie)</script>`
	svg := `<svg xmlns="http://www.w3.org/2000/svg">` + script + `</svg>`
	for name, typ := range map[string]string{"a.html": "text/html", "a.svg": "image/svg+xml", "a.xml": "text/xml", "a.xhtml": "application/xhtml+xml", "a.bin": "text/html"} {
		resp, text := ask(t, "PUT", server+"/endpoints/asset/content/"+name, []byte(svg), "X-ApiKey", apiKey, "Content-Type", typ)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
		resp, _ = ask(t, "GET", server+"/endpoints/asset/content/"+name, nil)
		require.True(t, strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment"), name)
		harmless(t, resp, name)
	}
	pkg := archive(t, "a.nuspec", `<package><metadata><id>A</id><version>1.0.0</version><authors>x</authors><description>`+
		`&lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:alert(1))</description><icon>icon.svg</icon><readme>readme.md</readme></metadata></package>`,
		"icon.svg", svg, "readme.md", script+"\n\n[x](javascript:alert(1)) <img src=x onerror=alert(1)>\n")
	resp, text := ask(t, "PUT", server+"/nuget/nuget/", pkg, "X-NuGet-ApiKey", apiKey)
	require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	resp, _ = ask(t, "GET", server+"/nuget/nuget/v3/flatcontainer/a/1.0.0/icon", nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "SVG is not shown")
	for _, part := range []string{"readme", "a.nuspec"} {
		resp, text := ask(t, "GET", server+"/nuget/nuget/v3/flatcontainer/a/1.0.0/"+part, nil)
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", part, text)
		harmless(t, resp, part)
	}
	resp, text = ask(t, "GET", server+"/feeds/nuget/package?name=A", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "script-src 'self'")
	for _, bad := range []string{"<script>alert", "javascript:", "onerror=alert"} {
		require.NotContains(t, strings.ToLower(strings.ReplaceAll(text, "&lt;", "")), bad)
	}
}

// harmless checks that a browser runs nothing of an answer.
func harmless(t *testing.T, resp *http.Response, what string) {
	t.Helper()
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'", what)
	require.NotContains(t, resp.Header.Get("Content-Security-Policy"), "script-src", what)
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), what)
}

// TestHeadersOfStrangers: nothing that a request or an upload says becomes a header
// of the answer.
func TestHeadersOfStrangers(t *testing.T) {
	t.Parallel()
	server := newWorld(t).start(t, "a", webOnly, func(c *node.Config) { c.Feeds = []feed.Type{asset.New()} }).URL
	for _, name := range []string{"a%0d%0aSet-Cookie:%20x=1", "a%22;%20x=1", "%0aX-Evil:1"} {
		path := server + "/endpoints/asset/content/" + name
		resp, _ := ask(t, "PUT", path, bytes.Repeat([]byte("x"), 3), "X-ApiKey", apiKey)
		if resp.StatusCode == http.StatusCreated {
			resp, _ = ask(t, "GET", path, nil)
		}
		require.Empty(t, resp.Header.Get("Set-Cookie"), name)
		require.Empty(t, resp.Header.Get("X-Evil"), name)
	}
	for _, host := range []string{"evil.example/x", "evil.example\"", "a b"} {
		_, text := ask(t, "GET", server+"/feeds/asset", nil, "X-Forwarded-Host", host)
		require.NotContains(t, text, host)
	}
}
