package node_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/node"
)

// TestStaleness: what may be old is, as long as it is found; whoever changes
// something sees it where it was changed.
func TestStaleness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(t, "first") // fills the database
	old := func(c *node.Config) { c.Staleness = time.Hour }
	a, b := w.still(t, "a", old).URL, w.still(t, "b", old).URL
	versions := func(base, name string) string {
		resp, text := ask(t, "GET", base+"/nuget/nuget/v3/flatcontainer/"+name+"/index.json", nil)
		require.Equal(t, http.StatusOK, resp.StatusCode, text)
		return text
	}
	publish(t, a, "Acme.Lib", "1.0.0")
	require.Contains(t, versions(a, "acme.lib"), "1.0.0")
	require.Contains(t, versions(b, "acme.lib"), "1.0.0")
	publish(t, a, "Acme.Lib", "2.0.0")
	require.Contains(t, versions(a, "acme.lib"), "2.0.0", "it was published here")
	require.NotContains(t, versions(b, "acme.lib"), "2.0.0", "nobody has asked")

	resp, _ := ask(t, "GET", b+"/nuget/nuget/v3/flatcontainer/acme.new/index.json", nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	publish(t, a, "Acme.New", "1.0.0")
	require.Contains(t, versions(b, "acme.new"), "1.0.0", "what is not found is asked for")

	use := func(key string) int {
		resp, _ := ask(t, "GET", b+"/nuget/nuget/v3/index.json", nil, "X-NuGet-ApiKey", key)
		return resp.StatusCode
	}
	require.Equal(t, http.StatusUnauthorized, use("unknown"))
	key, _ := newKey(t, a, `{"type":"Feed","displayName":"build","packagePermissions":["view"]}`)
	require.Equal(t, http.StatusOK, use(key), "a key that memory does not have is asked for")

	for range 5 { // as many as may fail before others have to wait
		resp, _ := ask(t, "GET", b+"/nuget/nuget/v3/index.json", nil, "Authorization", "Basic QWRtaW46d3Jvbmc=")
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "counted once")
	}
}
