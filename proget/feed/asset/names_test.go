package asset_test

import (
	"archive/zip"
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

// TestSpaceAtTheEnd: nothing new gets a name that ends in a space, by whatever door, but
// what has one from before can be read and deleted.
func TestSpaceAtTheEnd(t *testing.T) {
	t.Parallel()
	typ := asset.New()
	inspect := typ.Inspect
	typ.Inspect = func(ctx context.Context, f feed.File) (*feed.Manifest, error) {
		m, err := inspect(ctx, f)
		if err == nil && m.Name == "before/a.txt" {
			m.Name = "before /a.txt"
		}
		return m, err
	}
	d := &directory{feedtest.Start(t, typ), t}
	d.must(201, "PUT", "content/before/a.txt", "before")
	require.Equal(t, "before", d.must(200, "GET", "content/before%20/a.txt", ""))
	require.Equal(t, []string{"before /a.txt"}, d.list("before%20"))

	archive := func(name string) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		_, err := z.Create(name)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return b.String()
	}
	for _, c := range []struct{ method, rest, body string }{
		{"PUT", "content/a.txt%20", "x"},
		{"POST", "content/a.txt%20", "x"},
		{"PUT", "content/before%20/a.txt", "x"},
		{"POST", "content/before%20/a.txt", "x"},
		{"PATCH", "content/before%20/a.txt", "x"},
		{"POST", "content/a%20?multipart=upload&id=1&index=0&offset=0&totalSize=1&partSize=1&totalParts=1", "x"},
		{"POST", "dir/a%20", ""},
		{"POST", "import/a%20?format=zip", archive("b")},
		{"POST", "import/?format=zip", archive("a /b")},
		{"POST", "import/?format=zip", archive("a /")},
		{"PUT", "/api/packages/asset/upload/a%20", "x"},
	} {
		a := feedtest.Do(t, feedtest.Request(t, c.method, d.address(c.rest), []byte(c.body), "X-ApiKey", d.Key))
		require.Equal(t, 400, a.StatusCode, "%s %s: %s", c.method, c.rest, a.Body)
		require.Contains(t, string(a.Body), "ends in a space", "%s %s", c.method, c.rest)
	}
	require.Equal(t, "before", d.must(200, "GET", "content/before%20/a.txt", ""))
	d.must(200, "DELETE", "content/before%20/a.txt", "")
	require.Empty(t, d.list("?recursive=true"))
}

// address returns the URL of an address in the directory, or of the server.
func (d *directory) address(rest string) string {
	if strings.HasPrefix(rest, "/") {
		return d.URL + rest
	}
	return d.Feed + "/" + rest
}
