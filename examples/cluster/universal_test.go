package main_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// upack makes a universal package of pairs of paths and contents.
func upack(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		require.NoError(t, err)
		_, err = io.WriteString(w, files[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// TestUniversal: the requests of ProGet's clients, through the load balancer and to
// one node after the other, on each engine: a package is staged in an asset
// directory, imported, and made part of a virtual one, which many ask for at once
// through all nodes and which is the same for all.
func TestUniversal(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, c *cluster) {
		nodes := append(c.role("web"), c.LoadBalancer)
		turn := 0
		next := func(path string) string { turn++; return nodes[turn%len(nodes)].URL + path }
		const feed = "/upack/universal/"

		tool := upack(t, "upack.json", `{"group":"acme","name":"tool","version":"1.0.0"}`, "package/bin/tool", "the tool")
		c.ask(t, 201, "PUT", next(feed), tool, "Content-Type", "application/octet-stream") // as upack pushes
		c.ask(t, 409, "PUT", next(feed), tool, "Content-Type", "application/octet-stream")
		c.ask(t, 201, "POST", next(feed+"upload?name=data&version=2.0.0"), upack(t, "big.bin", "content"), "Content-Type", "application/zip")
		staged := upack(t, "upack.json", `{"name":"staged","version":"3.0.0"}`, "package/staged.txt", "staged")
		c.ask(t, 201, "PUT", next("/endpoints/asset/content/staging/staged.upack"), staged)
		c.ask(t, 200, "POST", next(feed+"import"), []byte(`{"assetDirectory":"asset","from":"staging/staged.upack"}`), "Content-Type", "application/json")
		c.ask(t, 404, "GET", next("/endpoints/asset/content/staging/staged.upack"), nil)
		require.Equal(t, string(staged), c.ask(t, 200, "GET", next(feed+"download/staged/3.0.0"), nil))
		c.ask(t, 201, "PUT", next("/endpoints/asset/content/logo.svg"), []byte("<svg/>"))
		c.ask(t, 400, "POST", next(feed+"upload"), []byte(`{"name":"x","version":"1.0.0","content-url":"http://localhost/"}`), "Content-Type", "application/json")
		vpack := `{"name":"all","version":"1.0.0","contents":["acme/tool:1.0.0","data:2.0.0",{"virtualPath":"more","source":"staged:3.0.0"},
			{"virtualPath":"logo.svg","source":{"feed":"asset","asset":"logo.svg"}}]}`
		c.ask(t, 201, "POST", next(feed+"upload"), []byte(vpack))
		require.Contains(t, c.ask(t, 200, "GET", next(feed+"versions?group=&name=all&version=1.0.0"), nil), `"isVirtual":true`)

		bodies := make(map[string]int)
		var mu sync.Mutex
		var all sync.WaitGroup
		for n := range 4 * len(nodes) {
			all.Go(func() {
				resp, err := http.Get(fmt.Sprintf("%s%sdownload/all/1.0.0", nodes[n%len(nodes)].URL, feed))
				if !assert.NoError(t, err) {
					return
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				assert.NoError(t, err)
				assert.Equal(t, 200, resp.StatusCode, "%s", body)
				mu.Lock()
				defer mu.Unlock()
				bodies[string(body)]++
			})
		}
		all.Wait()
		require.Len(t, bodies, 1)
		for _, node := range nodes {
			for path, want := range map[string]string{"bin/tool": "the tool", "big.bin": "content", "more/staged.txt": "staged", "logo.svg": "<svg/>"} {
				require.Equal(t, want, c.ask(t, 200, "GET", node.URL+feed+"download-file/all/1.0.0?path=package/"+path, nil))
			}
			require.Equal(t, vpack, c.ask(t, 200, "GET", node.URL+feed+"download-vpack/all?latest", nil))
		}
	})
}
