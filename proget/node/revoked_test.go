package node_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/node"
)

// TestRevokedWhileUploading: an upload that takes long is refused at its end, and leaves
// nothing behind, if its key, its user or its feed is gone by then, through whichever node.
func TestRevokedWhileUploading(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		revoke func(t *testing.T, other string, key int)
	}{
		"nothing": {http.StatusCreated, func(*testing.T, string, int) {}},
		"key": {http.StatusUnauthorized, func(t *testing.T, other string, key int) {
			manage(t, http.StatusOK, "POST", fmt.Sprintf("%s/api/api-keys/delete?id=%d", other, key), "")
		}},
		"feed": {http.StatusNotFound, func(t *testing.T, other string, _ int) {
			manage(t, http.StatusOK, "POST", other+"/api/management/feeds/update/files", `{"active":false}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			assets := func(c *node.Config) { c.Feeds = []feed.Type{asset.New()} }
			a, b := w.start(t, "a", webOnly, assets).URL, w.start(t, "b", webOnly, assets).URL
			manage(t, http.StatusOK, "POST", a+"/api/management/feeds/create", `{"name":"files","feedType":"asset"}`)
			key, id := newKey(t, a, `{"type":"Feed","feed":"files","packagePermissions":["view","add"]}`)
			before := w.files(t)
			body, client := io.Pipe()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, a+"/endpoints/files/content/slow", body)
			require.NoError(t, err)
			r.Header.Set("X-ApiKey", key)
			answered := make(chan *http.Response, 1)
			go func() {
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					close(answered)
					return
				}
				answered <- resp
			}()
			send := func() {
				_, err := client.Write([]byte("a part\n"))
				require.NoError(t, err)
			}
			send()
			tc.revoke(t, b, id)
			for began := time.Now(); time.Since(began) < 1100*time.Millisecond; time.Sleep(waitShort) { // less is not looked at
				send()
			}
			require.NoError(t, client.Close())
			resp := <-answered
			require.NotNil(t, resp)
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, tc.status, resp.StatusCode, string(text))
			if tc.status != http.StatusCreated {
				require.Equal(t, before, w.files(t), "nothing is left behind")
			}
		})
	}
}
