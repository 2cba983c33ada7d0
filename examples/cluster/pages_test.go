package main_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// visitor is a browser without JavaScript.
type visitor struct {
	t      *testing.T
	client *http.Client
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &visitor{t, &http.Client{Jar: jar, Timeout: 20 * time.Second}}
}

func (v *visitor) do(method, target string, form url.Values) (int, string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(form.Encode()))
	require.NoError(v.t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	}
	resp, err := v.client.Do(req)
	require.NoError(v.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(v.t, err)
	return resp.StatusCode, string(body)
}

func (v *visitor) page(target string) string {
	v.t.Helper()
	status, body := v.do(http.MethodGet, target, nil)
	require.Equal(v.t, http.StatusOK, status, "%s: %s", target, body)
	return body
}

func (v *visitor) submit(target string, form url.Values) string {
	v.t.Helper()
	status, body := v.do(http.MethodPost, target, form)
	require.Equal(v.t, http.StatusOK, status, "%s: %s", target, body)
	return body
}

// TestClusterPages: a session of one node holds on all, both modes are enabled,
// and a server that was killed turns stale and can be removed, while a living
// one cannot.
func TestClusterPages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, c *cluster) {
		v, web := newVisitor(t), c.role("web")
		status, _ := v.do(http.MethodPost, web[0].URL+"/sign-in", url.Values{"user": {"Admin"}, "password": {"wrong"}})
		require.Equal(t, http.StatusUnauthorized, status)
		v.submit(web[0].URL+"/sign-in", url.Values{"user": {"admin"}, "password": {c.AdminPassword}, "return": {"/administration"}})
		for _, n := range web { // all on 127.0.0.1, so the browser sends the cookie to each
			require.Contains(t, v.page(n.URL+"/administration"), "Sign out", n.Name)
		}
		admin := web[1].URL + "/administration"
		require.Contains(t, v.page(admin), "Service Status")
		require.Contains(t, v.page(admin+"/load-balancing"), "Enable Load Balancing")
		v.submit(admin+"/load-balancing", url.Values{"on": {"true"}})
		require.Contains(t, v.page(admin+"/high-availability"), "Enable High Availability Mode")
		v.submit(admin+"/high-availability", url.Values{"on": {"true"}})
		other := v.page(web[2].URL + "/administration")
		require.Contains(t, other, "Indexing Cluster Health", "on every node at once")
		require.NotContains(t, other, "Service Status")
		require.Contains(t, other, "/administration/cluster")

		table := v.page(admin + "/cluster")
		for _, n := range c.Nodes {
			require.Contains(t, table, n.Name)
			require.Contains(t, table, n.URL)
		}
		require.Equal(t, 1, strings.Count(table, ">primary<"))
		require.NotContains(t, table, "✕", "nobody is gone")
		status, _ = v.do(http.MethodPost, admin+"/cluster/remove", url.Values{"name": {web[0].Name}})
		require.Equal(t, http.StatusConflict, status, "a living server stays")

		kill(t, web[0])
		require.Eventually(t, func() bool {
			return strings.Contains(v.page(admin+"/cluster"), "Remove "+web[0].Name)
		}, 30*time.Second, 250*time.Millisecond)
		left := v.submit(admin+"/cluster/remove", url.Values{"name": {web[0].Name}})
		require.NotContains(t, left, web[0].Name)

		v.submit(web[2].URL+"/sign-out", nil)
		_, body := v.do(http.MethodGet, web[1].URL+"/administration", nil)
		require.Contains(t, body, "Sign in")
	})
}
