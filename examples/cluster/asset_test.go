package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ask sends a request with the cluster's API key, requires a status and returns
// the body.
func (c *cluster) ask(t *testing.T, status int, method, url string, body []byte, header ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-ApiKey", c.APIKey)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, status, resp.StatusCode, "%s %s: %s", method, url, text)
	return string(text)
}

// TestAssets: the requests of ProGet's client and of Terraform's backend "http",
// through the load balancer and to one node after the other, on each engine: parts
// of one upload reach different nodes, and every node shows the same.
func TestAssets(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, c *cluster) {
		const dir = "/endpoints/asset/"
		nodes := append(c.role("web"), c.LoadBalancer)
		require.Greater(t, len(nodes), 3)
		turn := 0
		next := func() string { turn++; return nodes[turn%len(nodes)].URL + dir }

		large := make([]byte, 3<<20+17)
		_, _ = rand.NewChaCha8([32]byte{}).Read(large)
		const size = 512 << 10
		parts := (len(large) + size - 1) / size
		for _, i := range rand.Perm(parts) {
			part := large[i*size : min((i+1)*size, len(large))]
			c.ask(t, 200, "POST", fmt.Sprintf("%scontent/iso/large.iso?id=0af7&multipart=upload&index=%d&offset=%d&totalSize=%d&partSize=%d&totalParts=%d",
				next(), i, i*size, len(large), len(part), parts), part)
			c.ask(t, 404, "GET", next()+"content/iso/large.iso", nil)
		}
		c.ask(t, 200, "POST", next()+"content/iso/large.iso?id=0af7&multipart=complete", nil)
		for _, node := range nodes {
			require.Equal(t, string(large), c.ask(t, 200, "GET", node.URL+dir+"content/iso/large.iso", nil))
			require.Equal(t, string(large[100:201]), c.ask(t, 206, "GET", node.URL+dir+"content/ISO/Large.iso", nil, "Range", "bytes=100-200"))
		}

		for serial := range 10 {
			state := fmt.Sprintf(`{"version":4,"serial":%d}`, serial)
			c.ask(t, 201, "POST", next()+"content/states/prod.tfstate", []byte(state), "Content-Type", "application/json")
			require.Equal(t, state, c.ask(t, 200, "GET", next()+"content/states/prod.tfstate", nil))
		}
		c.ask(t, 200, "POST", next()+"metadata/states", []byte(`{"cacheHeader":{"type":"nocache"},"userMetadata":{"owner":{"value":"ops","includeInResponseHeader":false}}}`))
		c.ask(t, 200, "POST", next()+"import/copy?format=tgz", []byte(c.ask(t, 200, "GET", next()+"export/states?format=tgz&recursive=true", nil)))
		for _, name := range []string{"a-b", "a.b", "a/b/c", "a0", "Ünï", "😀/x", "\uffee"} {
			c.ask(t, 201, "PUT", next()+"content/copy/more/"+name, nil)
			c.ask(t, 400, "PUT", next()+"content/copy/more/"+strings.ToUpper(name), nil)
		}
		lists := make(map[string]bool)
		for _, node := range nodes {
			var items []struct{ Name, Parent string }
			require.NoError(t, json.Unmarshal([]byte(c.ask(t, 200, "GET", node.URL+dir+"dir/copy?recursive=true)", nil)), &items))
			lists[fmt.Sprint(items)] = true
			require.Len(t, items, 2+7+3)
			require.NoError(t, json.Unmarshal([]byte(c.ask(t, 200, "GET", node.URL+dir+"dir/copy/more?recursive=false)", nil)), &items))
			require.Len(t, items, 7)
		}
		require.Len(t, lists, 1)
		c.ask(t, 200, "POST", next()+"delete/copy?recursive=true", nil)
		for _, node := range nodes {
			require.Equal(t, "[]", c.ask(t, 200, "GET", node.URL+dir+"dir/copy?recursive=true", nil))
		}
	})
}
