package node_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/npm"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/feed/oci"
	"github.com/proget-go/ha/proget/node"
)

// TestThrottledEverywhere: each door at which passwords are taken counts towards
// the same, on every node, and says in its protocol's words when to come back.
// Those with a key, a token or a session go in and out.
func TestThrottledEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	change := func(c *node.Config) { c.Feeds = []feed.Type{nuget.New(nil), npm.New(), oci.New()} }
	nodes := []string{w.start(t, "a", webOnly, change).URL, w.start(t, "b", webOnly, change).URL}
	signIn := func(server, password string) *http.Response {
		resp, _ := ask(t, "POST", server+"/sign-in", []byte("user=Admin&password="+password), "Content-Type", formType)
		return resp
	}
	session := signIn(nodes[0], "password").Cookies()[0]
	const basicWrong = "Basic QWRtaW46d3Jvbmc="
	doors := []struct{ method, path, body, header, value, says string }{
		{"POST", "/sign-in", "user=Admin&password=wrong", "Content-Type", formType, "<form"},
		{"GET", "/nuget/nuget/v3/index.json", "", "Authorization", basicWrong, "Too many"},
		{"GET", "/nuget/nuget/v3/index.json", "", "X-NuGet-ApiKey", "Admin:wrong", "Too many"},
		{"PUT", "/npm/npm/-/user/org.couchdb.user:Admin", `{"name":"Admin","password":"wrong"}`, "Content-Type", "application/json", `"error"`},
		{"GET", "/v2/_auth", "", "Authorization", basicWrong, "TOOMANYREQUESTS"},
		{"POST", "/v2/_auth", "grant_type=password&username=Admin&password=wrong", "Content-Type", formType, "TOOMANYREQUESTS"},
		{"GET", "/api/api-keys/list", "", "X-ApiKey", "Admin:wrong", "Too many"},
		{"GET", "/feeds", "", "Authorization", basicWrong, "Too many"},
	}
	for i := range 5 {
		d := doors[i]
		resp, text := ask(t, d.method, nodes[i%2]+d.path, []byte(d.body), d.header, d.value)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "%s: %s", d.path, text)
	}
	for i, d := range doors { // each is answered within the longest delay, whichever it is by now
		for resp, text := ask(t, d.method, nodes[i%2]+d.path, []byte(d.body), d.header, d.value); ; resp, text = ask(t, d.method, nodes[i%2]+d.path, []byte(d.body), d.header, d.value) {
			if resp.StatusCode == http.StatusUnauthorized { // the delay was over, and doubles
				continue
			}
			require.Equal(t, http.StatusTooManyRequests, resp.StatusCode, "%s: %s", d.path, text)
			after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			require.NoError(t, err, d.path)
			require.GreaterOrEqual(t, after, 1)
			require.Contains(t, text, d.says, d.path)
			require.Contains(t, text, "Too many sign-ins have failed", d.path)
			require.Empty(t, resp.Header.Get("WWW-Authenticate"), "nobody is to ask for another password")
			break
		}
	}
	require.Equal(t, http.StatusTooManyRequests, signIn(nodes[1], "wrong").StatusCode)
	resp, _ := ask(t, "GET", nodes[1]+"/nuget/nuget/v3/index.json", nil, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	resp, _ = ask(t, "GET", nodes[1]+"/administration", nil, "Cookie", session.Name+"="+session.Value)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
