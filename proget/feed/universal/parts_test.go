package universal

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBlockedPart: what was assembled is not sent while a part of it is blocked, by any
// door, and also if the part came with a virtual package that is there no more.
func TestBlockedPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.must(201, "POST", "upload", string(archive(t, manifestName, `{"name":"one","version":"1.0.0"}`, "package/a.txt", "one")))
	w.must(201, "PUT", w.URL+"/endpoints/asset/content/Logo.png", "png")
	w.must(201, "POST", "upload", `{"name":"inner","version":"1.0.0","contents":["one:1.0.0",{"virtualPath":"img/","source":{"feed":"asset","asset":"logo.png"}}]}`)
	w.must(201, "POST", "upload", `{"name":"outer","version":"1.0.0","contents":["inner:1.0.0"]}`)
	w.must(201, "POST", "upload", `{"name":"late","version":"1.0.0","contents":["outer:1.0.0"]}`)
	allow := func(feed, name, version string, allow bool) {
		q := url.Values{"name": {name}, "version": {version}}
		w.must(200, "POST", w.URL+"/api/packages/"+feed+"/status?"+q.Encode(), fmt.Sprintf(`{"allow":%t}`, allow))
	}
	doors := []string{"download/outer/1.0.0", "download/outer?latest", "download/outer/1.0.0?contentOnly=zip", "download/outer/1.0.0?contentOnly=tgz",
		"download-file/outer/1.0.0?path=package/a.txt", "versions?name=outer&version=1.0.0&includeFileList=true"}
	tag := w.do("GET", doors[0], "").Header.Get("ETag")
	ways := [][]string{nil, {"Range", "bytes=0-9"}, {"If-None-Match", tag}}
	closed := func(because string) {
		t.Helper()
		for _, door := range doors {
			for _, header := range ways {
				require.Contains(t, w.must(404, "GET", door, "", header...), because, door)
			}
			require.Equal(t, 404, w.do("HEAD", door, "").StatusCode, door)
		}
	}
	open := func() {
		t.Helper()
		for _, door := range doors {
			w.must(200, "GET", door, "")
		}
		w.must(304, "GET", doors[0], "", ways[2]...)
	}
	open()
	for _, part := range [][3]string{{"universal", "one", "1.0.0"}, {"asset", "Logo.png", "1"}, {"universal", "inner", "1.0.0"}} {
		allow(part[0], part[1], part[2], false)
		closed(part[1] + " " + part[2] + " is blocked.")
		w.must(404, "GET", "download/late/1.0.0", "")
		allow(part[0], part[1], part[2], true)
		open()
	}
	w.must(200, "GET", "download/late/1.0.0", "")
	w.must(200, "DELETE", "delete/inner/1.0.0", "")
	open()
	allow("universal", "one", "1.0.0", false)
	closed("one 1.0.0 is blocked.")
	w.must(404, "GET", "download/late/1.0.0", "")
	w.must(409, "DELETE", "delete/one/1.0.0", "")
	w.must(200, "POST", w.URL+"/api/packages/universal/delete?name=one&version=1.0.0", "")
	open()
}

// TestAssembledElsewhere: pages and the native API, which do not look at the parts, send
// neither a virtual package nor what was assembled from it.
func TestAssembledElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.must(201, "POST", "upload", string(archive(t, manifestName, `{"name":"one","version":"1.0.0"}`, "package/a.txt", "one")))
	vpack := `{"name":"v","version":"1.0.0","contents":["one:1.0.0"]}`
	w.must(201, "POST", "upload", vpack)
	w.must(200, "GET", "download/v/1.0.0", "")
	assembled := fmt.Sprintf("v-1.0.0.%.8x.constructed.upack", sha256.Sum256([]byte(vpack)))
	for _, file := range []struct {
		name, file string
		status     int
	}{{"one", "one-1.0.0.upack", 200}, {"v", "v-1.0.0.vpack", 400}, {"v", assembled, 400}} {
		q := url.Values{"name": {file.name}, "version": {"1.0.0"}, "qualifier": {"file=" + file.file}}
		w.must(file.status, "GET", w.URL+"/api/packages/universal/download?"+q.Encode(), "")
		q.Set("file", file.file)
		w.must(file.status, "GET", w.URL+"/feeds/universal/download?"+q.Encode(), "")
	}
}
