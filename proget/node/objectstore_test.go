package node_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// TestObjectStore: a feed whose files are in an object store is pushed to and
// restored from, through the server or, if so wanted, straight from the store.
func TestObjectStore(t *testing.T) {
	store := testenv.StartS3(t)
	w := newWorld(t)
	a, b := w.start(t, "a").URL, w.start(t, "b").URL
	manage(t, http.StatusOK, "POST", a+"/api/management/storages/create", fmt.Sprintf(`{"name":"Bucket","url":%q}`, store.BucketURL(store.Address, "feed/")))
	manage(t, http.StatusOK, "POST", a+"/api/management/feeds/create", `{"name":"far","feedType":"nuget","storage":"bucket"}`)
	push(t, http.StatusCreated, b, "far", "1.0.0", apiKey)
	want := string(testenv.Nupkg(t, "Acme.Lib", "1.0.0"))
	file := "/nuget/far/v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg"
	resp, text := ask(t, "GET", a+file, nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, want, text)
	resp, text = ask(t, "GET", b+file, nil, "Range", "bytes=10-19")
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	require.Equal(t, want[10:20], text)

	require.Contains(t, manage(t, http.StatusOK, "POST", a+"/api/management/feeds/update/far", `{"redirectDownloads":true}`), `"redirectDownloads":true`)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(b + file)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	to, err := url.Parse(resp.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, store.Address, to.Host)
	resp, err = http.Get(to.String())
	require.NoError(t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, want, string(content))
	require.Contains(t, resp.Header.Get("Content-Disposition"), "1.0.0.nupkg")
	head, err := http.Head(b + file)
	require.NoError(t, err)
	require.NoError(t, head.Body.Close())
	require.Equal(t, http.StatusOK, head.StatusCode, "the store's URL is signed for GET alone")
	require.EqualValues(t, len(want), head.ContentLength)
	resp, _ = ask(t, "GET", b+file, nil, "If-None-Match", head.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, resp.StatusCode)

	manage(t, http.StatusOK, "POST", a+"/api/management/feeds/update/nuget", `{"redirectDownloads":true}`)
	push(t, http.StatusCreated, a, "nuget", "1.0.0", apiKey)
	resp, text = ask(t, "GET", b+strings.Replace(file, "far", "nuget", 1), nil)
	require.Equal(t, http.StatusOK, resp.StatusCode, "a storage without such URLs sends the file itself")
	require.Equal(t, want, text)
}
