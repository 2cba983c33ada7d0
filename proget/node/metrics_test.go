package node_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
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
