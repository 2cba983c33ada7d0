package node_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/node"
)

var linked = regexp.MustCompile(` (?:href|src|action)="(/[^"]*)"`)

// TestBelow: a node that is part of a larger site leads nobody out of its part.
func TestBelow(t *testing.T) {
	t.Parallel()
	site := http.NewServeMux()
	outer := httptest.NewServer(site)
	t.Cleanup(outer.Close)
	base := outer.URL + "/some/artifacts"
	_, n := newWorld(t).startNode(t, "a", func(c *node.Config) { c.BaseURL = base + "/" })
	site.Handle("/some/artifacts/", http.StripPrefix("/some/artifacts", n.Handler()))
	site.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s is not the node's, and it leads there", r.Method, r.URL)
		http.NotFound(w, r)
	})

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	get := func(url string) (*http.Response, string) {
		resp, err := browser.Get(url)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp, string(text)
	}
	resp, _ := get(base + "/administration")
	require.Equal(t, "/some/artifacts/sign-in", resp.Request.URL.Path)
	resp, err = browser.PostForm(resp.Request.URL.String(), url.Values{"user": {"Admin"}, "password": {"password"}, "return": {"/administration"}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "/some/artifacts/administration", resp.Request.URL.Path)
	answer, text := ask(t, http.MethodPut, base+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, "Acme.Lib", "1.0.0"), "X-ApiKey", apiKey)
	require.Equal(t, http.StatusCreated, answer.StatusCode, text)

	seen := map[string]bool{"/some/artifacts/": true}
	for todo := []string{"/some/artifacts/"}; len(todo) > 0; todo = todo[1:] {
		resp, text := get(outer.URL + todo[0])
		require.Less(t, resp.StatusCode, 400, "%s: %s", todo[0], text)
		for _, link := range linked.FindAllStringSubmatch(text, -1) {
			path := strings.ReplaceAll(link[1], "&amp;", "&")
			require.True(t, strings.HasPrefix(path, "/some/artifacts/"), "%s leads to %s", todo[0], path)
			if action := strings.HasPrefix(link[0], " action"); !action && !seen[path] {
				seen[path] = true
				todo = append(todo, path)
			}
		}
	}
	require.Contains(t, seen, "/some/artifacts/feeds/nuget/package?name=Acme.Lib")
	resp, _ = get(base + "//feeds/./nuget")
	require.Equal(t, "/some/artifacts/feeds/nuget", resp.Request.URL.Path)
}
