package node_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/node"
)

// TestMountLabel: requests are counted by the first segment of what is there, and all
// pages together.
func TestMountLabel(t *testing.T) {
	t.Parallel()
	url := newWorld(t).start(t, "a").URL
	for _, path := range []string{"/", "/feeds", "/feeds/nuget", "/account", "/sign-in", "/no/such/page", "/health", "/health/live", "/api/management/feeds/list", "/nuget/nuget/v3/index.json"} {
		_, _ = ask(t, http.MethodGet, url+path, nil)
	}
	_, text := ask(t, http.MethodGet, url+"/metrics", nil)
	for _, mount := range []string{"page", "health", "api", "nuget"} {
		require.Contains(t, text, `mount="`+mount+`"`)
	}
	for _, mount := range []string{"", "{$}", "feeds", "account", "sign-in", "no"} {
		require.NotContains(t, text, `mount="`+mount+`"`)
	}
}

// breaking is a handler that panics, after the response has begun or before.
type breaking struct{ feed.Handler }

func (breaking) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte("half"))
		panic(http.ErrAbortHandler)
	}
	panic("nobody made this map")
}

// TestAbortedRequests: a request that a panic ends is counted and timed as well.
func TestAbortedRequests(t *testing.T) {
	t.Parallel()
	typ := asset.New()
	handler := typ.Handler
	typ.Handler = func(s feed.Services) feed.Handler { return breaking{handler(s)} }
	server := newWorld(t).start(t, "a", webOnly, func(c *node.Config) { c.Feeds = []feed.Type{typ} })
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/endpoints/asset/content/x", nil)
		require.NoError(t, err)
		req.Header.Set("X-ApiKey", apiKey)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
	}
	require.Eventually(t, func() bool {
		_, text := ask(t, http.MethodGet, server.URL+"/metrics", nil)
		return strings.Contains(text, `proget_http_requests_total{class="aborted",method="GET",mount="endpoints"} 1`) &&
			strings.Contains(text, `proget_http_requests_total{class="5xx",method="HEAD",mount="endpoints"} `) &&
			strings.Contains(text, `proget_http_request_seconds_count{mount="endpoints"}`)
	}, waitLong, 10*time.Millisecond)
}

// TestOwnRegisterer: an embedder's registry has a node's metrics for as long as the node
// is open, and nothing twice that it may have itself.
func TestOwnRegisterer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	cfg := w.config(t, "a")
	cfg.Metrics = registry
	n, err := node.New(t.Context(), cfg)
	require.NoError(t, err)
	names := func() (all []string) {
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			all = append(all, f.GetName())
		}
		return all
	}
	require.Subset(t, names(), []string{"proget_ready", "go_goroutines"})
	answer := httptest.NewRecorder()
	n.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Contains(t, answer.Body.String(), "proget_ready")
	require.NotContains(t, answer.Body.String(), "go_goroutines", "it is the embedder's")

	second := w.config(t, "b")
	second.Metrics = registry
	_, err = node.New(t.Context(), second)
	require.ErrorContains(t, err, "prometheus.WrapRegistererWith")
	require.Contains(t, names(), "proget_ready", "the first node's are still there")
	second.Metrics = prometheus.WrapRegistererWith(prometheus.Labels{"node": "b"}, prometheus.NewRegistry())
	other, err := node.New(t.Context(), second)
	require.NoError(t, err)
	require.NoError(t, other.Close())

	require.NoError(t, n.Close())
	require.NotContains(t, names(), "proget_ready")
}
