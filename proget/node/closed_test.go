package node_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/node"
)

// TestClosedDatabase: what needs a database that the program has closed is refused, and
// not tried until its time is up.
func TestClosedDatabase(t *testing.T) {
	t.Parallel()
	var cfg node.Config
	server := newWorld(t).start(t, "a", webOnly, func(c *node.Config) { cfg = *c })
	require.NoError(t, cfg.DB.Close())
	resp, text := ask(t, http.MethodPut, server.URL+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, "Acme.Lib", "1.0.0"), "X-ApiKey", apiKey)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.Contains(t, text, "This server is stopping")
}
