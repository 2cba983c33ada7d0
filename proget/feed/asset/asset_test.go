package asset_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

func escape(path string) string {
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return strings.Join(segments, "/")
}

func signIn(r *http.Request, key string) { r.Header.Set("X-ApiKey", key) }

// TestConformance takes a folder for a package and a file in it for a version.
func TestConformance(t *testing.T) {
	t.Parallel()
	address := func(base, name, version string) string { return base + "/content/" + escape(name+"/"+version) }
	feedtest.Run(t, feedtest.Suite{
		Type: asset.New(), SignIn: signIn, Conflict: http.StatusBadRequest, Denied: http.StatusUnauthorized,
		Push: func(t testing.TB, base, name, version string) (*http.Request, []byte) {
			file := []byte("the content of " + name + " " + version)
			return feedtest.Request(t, http.MethodPut, address(base, name, version), file), file
		},
		Documents: func(base, name string) []string {
			return []string{base + "/dir/" + escape(name), base + "/dir/?recursive=true"}
		},
		Download: address,
		Delete: func(t testing.TB, base, name, version string) *http.Request {
			return feedtest.Request(t, http.MethodPost, base+"/delete/"+escape(name+"/"+version), nil)
		},
		Name: "acme/tools", Three: [3]string{"one.txt", "two.txt", "three.txt"},
		Names: [][2]string{{"a", "b"}, {"Ünï cödé/✓", "a b+c&d=e.txt"}, {"100% sure?", "#1;x"}, {"a b", "…"}, {".hidden", ".." + "x"}, {strings.Repeat("d/", 60) + "d", "f"},
			{"long", strings.Repeat("n", 390)}, {"İstanbul", "ǅ"}, {"a", "'\"<>|*"}},
		Refused: refused,
	})
}

func refused(t testing.TB, base string) map[string]*http.Request {
	t.Helper()
	all := make(map[string]*http.Request)
	for name, path := range map[string]string{
		"nothing": "", "slashes": "%2F%2F", "parent": "a/%2e%2e/b", "parent in a segment": "a%2f..%2fb", "parent of Windows": "a/..%5C..%5Cb", "Windows' parent": "a/..%20/b",
		"dot": "a%2F.%2Fb", "NUL": "a%00b", "line break": "a%0d%0aSet-Cookie:%20x", "control": "a%1bb", "DEL": "a%7f", "no character": "a%EF%BF%BF", "invalid UTF-8": "a%ff", "half a character": "%ED%A0%80",
		"long": strings.Repeat("n", 400), "long in lower case": strings.Repeat("Ⱥ", 150), "space at the end": "a.txt%20", "space at the end of a folder": "a%20/b", "deep": strings.Repeat("d/", 64) + "f", "empty segment": "a%2F%2Fb",
	} {
		r := feedtest.Request(t, http.MethodPut, base+"/content/", []byte("x"))
		r.URL.Opaque = strings.TrimPrefix(base, "http:") + "/content/" + path
		all["path: "+name] = r
	}
	request := func(method, rest, body string, header ...string) *http.Request {
		return feedtest.Request(t, method, base+"/"+rest, []byte(body), header...)
	}
	part := func(query string) *http.Request { return request("POST", "content/a?multipart=upload&"+query, "12345") }
	for name, r := range map[string]*http.Request{
		"no such step":            request("POST", "content/a?multipart=abort&id=1", ""),
		"no id":                   request("POST", "content/a?multipart=upload", "12345"),
		"long id":                 part("id=" + strings.Repeat("i", 201)),
		"no numbers":              part("id=1"),
		"no number":               part("id=1&index=0&offset=x&totalSize=10&partSize=5&totalParts=2"),
		"negative":                part("id=1&index=0&offset=-5&totalSize=10&partSize=5&totalParts=2"),
		"huge":                    part("id=1&index=0&offset=9223372036854775807&totalSize=10&partSize=5&totalParts=2"),
		"after the end":           part("id=1&index=1&offset=6&totalSize=10&partSize=5&totalParts=2"),
		"empty part":              part("id=1&index=1&offset=5&totalSize=10&partSize=0&totalParts=2"),
		"index":                   part("id=1&index=2&offset=5&totalSize=10&partSize=5&totalParts=2"),
		"another length":          part("id=1&index=0&offset=0&totalSize=10&partSize=6&totalParts=2"),
		"complete without parts":  request("POST", "content/a?multipart=complete&id=none", ""),
		"patch of nothing":        request("PATCH", "content/a", "x"),
		"media type":              request("PUT", "content/a", "x", "Content-Type", "no type"),
		"folder of the directory": request("GET", "content/", ""),
		"format":                  request("POST", "import/a?format=rar", "x"),
		"export format":           request("GET", "export/?format=rar", ""),
		"export of nothing":       request("GET", "export/none?format=zip", ""),
		"metadata of nothing":     request("POST", "metadata/none", "{}"),
		"delete all":              request("POST", "delete/?recursive=true", ""),
		"method":                  request("PUT", "dir/a", "x"),
		"address":                 request("GET", "files/a", ""),
	} {
		all[name] = r
	}
	return all
}

// directory is a cluster with what tests do to its asset directory. Each request
// reaches another node.
type directory struct {
	*feedtest.Cluster
	t *testing.T
}

func start(t *testing.T) *directory { return &directory{feedtest.Start(t, asset.New()), t} }

func (d *directory) do(method, rest, body string, header ...string) feedtest.Answer {
	d.t.Helper()
	r := feedtest.Request(d.t, method, d.Feed+"/"+rest, []byte(body), append(header, "X-ApiKey", d.Key)...)
	return feedtest.Do(d.t, r)
}

func (d *directory) must(status int, method, rest, body string, header ...string) string {
	d.t.Helper()
	a := d.do(method, rest, body, header...)
	require.Equal(d.t, status, a.StatusCode, "%s %s: %s", method, rest, a.Body)
	return string(a.Body)
}

type item struct {
	Name, Parent, Type, Content string
	Size                        *int64
	Created, Modified           time.Time
	MD5, SHA1, SHA256, SHA512   string
	UserMetadata                map[string]any
	CacheHeader                 struct {
		Type  string
		Value any
	}
}

func (d *directory) item(path string) (i item) {
	d.t.Helper()
	require.NoError(d.t, json.Unmarshal([]byte(d.must(200, "GET", "metadata/"+path, "")), &i))
	return i
}

// list returns paths, those of folders with a slash at their end.
func (d *directory) list(rest string) []string {
	d.t.Helper()
	var items []item
	require.NoError(d.t, json.Unmarshal([]byte(d.must(200, "GET", "dir/"+rest, "")), &items))
	paths := []string{}
	for _, i := range items {
		p := strings.TrimPrefix(i.Parent+"/"+i.Name, "/")
		if i.Type == "dir" {
			p += "/"
		}
		paths = append(paths, p)
	}
	return paths
}

// TestContent: what the table of ProGet's API says of files.
func TestContent(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.must(404, "GET", "content/a/b.txt", "")
	d.must(200, "DELETE", "content/a/b.txt", "")
	d.must(404, "PATCH", "content/a/b.txt", "0")
	d.must(201, "PUT", "content/a/b.txt", "one")
	d.must(400, "PUT", "content/A/B.TXT", "two")
	require.Equal(t, "one", d.must(200, "GET", "content/A/b.txt", ""))
	d.must(201, "PATCH", "content/a/b.txt", "three", "Content-Type", "Application/X-Own; a=b")
	d.must(201, "POST", "content/a/B.txt", "0123456789")
	a := d.do("GET", "content/a/b.txt", "", "Range", "bytes=5-10")
	require.Equal(t, http.StatusPartialContent, a.StatusCode, "the SDK asks for a byte too many")
	require.Equal(t, "56789", string(a.Body))
	require.Equal(t, "application/x-own; a=b", a.Header.Get("Content-Type"), "stays when a file is replaced by one that says none")
	require.Equal(t, "no-cache", a.Header.Get("Cache-Control"))
	d.must(400, "GET", "content/a", "")
	d.must(400, "POST", "content/a", "x")
	d.must(400, "POST", "content/a/b.txt/c", "x")
	d.must(400, "DELETE", "content/a", "")
	d.must(400, "POST", "dir/a/b.txt", "")
	d.must(201, "POST", "content/page", "<html>", "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, "application/octet-stream", d.item("page").Type)
	i := d.item("a/b.txt")
	require.Equal(t, "B.txt", i.Name)
	require.Equal(t, "a", i.Parent)
	require.EqualValues(t, 10, *i.Size)
	require.Equal(t, d.Feed+"/content/a/B.txt", i.Content)
	require.Equal(t, "781e5e245d69b566979b86e28d23f2c7", i.MD5)
	require.Len(t, i.SHA1, 40)
	require.Len(t, i.SHA256, 64)
	require.Len(t, i.SHA512, 128)
	require.False(t, i.Created.IsZero() || i.Created.After(i.Modified))
	d.must(200, "DELETE", "content/a/b.txt", "")
	d.must(404, "GET", "content/a/b.txt", "")
	require.Equal(t, []string{"page"}, d.list(""), "a folder goes with the last file in it")
	d.must(201, "POST", "content/empty", "")
	require.Empty(t, d.must(200, "GET", "content/empty", ""))
}

// TestTerraform: the state of Terraform's backend "http" without locks.
func TestTerraform(t *testing.T) {
	t.Parallel()
	d := start(t)
	const state = "content/states/prod.tfstate"
	user := func(method, body string) feedtest.Answer {
		r := feedtest.Request(t, method, d.Feed+"/"+state, []byte(body), "Content-Type", "application/json")
		r.SetBasicAuth("api", d.Key)
		return feedtest.Do(t, r)
	}
	require.Equal(t, 404, user("GET", "").StatusCode, "no state yet")
	for serial := range 3 {
		text := fmt.Sprintf(`{"version":4,"serial":%d}`, serial)
		require.Equal(t, 201, user("POST", text).StatusCode)
		a := user("GET", "")
		require.Equal(t, 200, a.StatusCode)
		require.Equal(t, text, string(a.Body))
	}
	require.Equal(t, 200, user("DELETE", "").StatusCode)
	require.Equal(t, 404, user("GET", "").StatusCode)
}

// TestFolders: folders that were made and such that are because something is in
// them, listed and deleted.
func TestFolders(t *testing.T) {
	t.Parallel()
	d := start(t)
	require.Empty(t, d.list(""))
	require.Empty(t, d.list("none?recursive=false)"))
	d.must(201, "POST", "dir/made/below", "")
	d.must(201, "POST", "dir/Made/below", "")
	for _, p := range []string{"a-b", "a.txt", "a/x/1", "a/x/2", "a/y", "a0", "made/below/file"} {
		d.must(201, "PUT", "content/"+p, p)
	}
	require.Equal(t, []string{"a-b", "a.txt", "a/", "a0", "made/"}, d.list("?recursive=false)"))
	require.Equal(t, []string{"a-b", "a.txt", "a/", "a/x/", "a/x/1", "a/x/2", "a/y", "a0", "made/", "made/below/", "made/below/file"}, d.list("?recursive=true"))
	require.Equal(t, []string{"a/x/", "a/y"}, d.list("A/"))
	require.Equal(t, []string{"a/x/", "a/x/1", "a/x/2", "a/y"}, d.list("a?recursive=True"))
	require.Equal(t, "dir", d.item("a/x").Type)
	require.Nil(t, d.item("a/x").Size)
	d.must(404, "GET", "metadata/a/z", "")
	d.must(400, "POST", "delete/a", "")
	d.must(200, "POST", "delete/a?recursive=true", "")
	d.must(200, "POST", "delete/a?recursive=true", "")
	require.Equal(t, []string{"a-b", "a.txt", "a0", "made/"}, d.list(""))
	d.must(200, "POST", "delete/a-b", "")
	d.must(200, "DELETE", "content/made/below/file", "")
	require.Equal(t, []string{"made/", "made/below/"}, d.list("?recursive=true")[2:], "what was made stays")
	d.must(400, "POST", "delete/made", "")
	d.must(200, "POST", "delete/made/below", "")
	require.Equal(t, []string{"a.txt", "a0", "made/"}, d.list(""))
	d.must(400, "DELETE", "content/made", "")
}

// TestManyItems: lists leap over what is in folders, whatever its names.
// putSlowly begins to store a file, and returns what ends that and says how.
func (d *directory) putSlowly(path string) (end func() feedtest.Answer) {
	d.t.Helper()
	return d.slowly("PUT", path)
}

// slowly begins to store a file as a request with headers asks.
func (d *directory) slowly(method, path string, header ...string) (end func() feedtest.Answer) {
	d.t.Helper()
	before := d.Files(d.t)
	body, client := io.Pipe()
	r := feedtest.Request(d.t, method, d.Feed+"/content/"+path, nil, append(header, "X-ApiKey", d.Key)...)
	r.Body, r.ContentLength = body, -1
	answer := make(chan feedtest.Answer, 1)
	go func() { answer <- feedtest.Do(d.t, r) }()
	_, err := io.WriteString(client, "slow ")
	require.NoError(d.t, err)
	require.Eventually(d.t, func() bool { return d.Files(d.t) > before }, 10*time.Second, time.Millisecond)
	return func() feedtest.Answer {
		_, err := io.WriteString(client, "upload")
		require.NoError(d.t, err)
		require.NoError(d.t, client.Close())
		return <-answer
	}
}

// TestFileAgainstFolder: of those who make a file and a folder of one path, whoever
// ends first wins, however early the other began.
func TestFileAgainstFolder(t *testing.T) {
	t.Parallel()
	d := start(t)
	for _, test := range []struct{ slow, method, rest, refused string }{
		{"A/x", "PUT", "content/a/X/y", `"/A/x" is a folder, not a file.`},
		{"b/x", "POST", "dir/b/x", `"/b/x" is a folder, not a file.`},
		{"c/x/y/z", "PUT", "content/c/x", `"c/x" is a file, so nothing can be below it.`},
		{"d/x/y", "PUT", "content/d", `"d" is a file, so nothing can be below it.`},
	} {
		end := d.putSlowly(test.slow)
		d.must(201, test.method, test.rest, "quick")
		a := end()
		require.Equal(t, 400, a.StatusCode, test.slow)
		require.Contains(t, string(a.Body), test.refused)
		require.Contains(t, d.must(400, "PUT", "content/"+test.slow, "later"), test.refused, "which is what is said of what is there")
	}
	require.Equal(t, []string{"a/", "a/X/", "a/X/y", "b/", "b/x/", "c/", "c/x", "d"}, d.list("?recursive=true"))
	require.Equal(t, 2, d.Files(t), "what was refused is gone; what is equal is stored once")

	end := d.putSlowly("e/x")
	d.must(201, "PUT", "content/e/x.txt", "a neighbour")
	d.must(201, "POST", "content/e/x", "the same file")
	require.Equal(t, 400, end().StatusCode, "it is there")
	end = d.putSlowly("e/y")
	d.must(201, "POST", "dir/e", "")
	require.Equal(t, 201, end().StatusCode, "its folder was made")
}

// TestFileAndFolderAtOnce: of two that are recorded at the same moment one wins.
func TestFileAndFolderAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t)
	for i := range 20 {
		paths := []string{fmt.Sprintf("%d/x", i), fmt.Sprintf("%d/x/y/z", i)}
		statuses := make([]int, len(paths))
		var all sync.WaitGroup
		for n, path := range paths {
			all.Go(func() {
				r := feedtest.Request(t, "PUT", d.Feed+"/content/"+path, []byte(path), "X-ApiKey", d.Key)
				if resp, err := http.DefaultTransport.RoundTrip(r); assert.NoError(t, err) {
					statuses[n] = resp.StatusCode
					_ = resp.Body.Close()
				}
			})
		}
		all.Wait()
		slices.Sort(statuses)
		require.Equal(t, []int{201, 400}, statuses)
	}
}

// TestRestoreAgainstFolder: what was deleted cannot be brought back to where a folder
// has come to be, or below a file.
func TestRestoreAgainstFolder(t *testing.T) {
	t.Parallel()
	d := start(t)
	restore := func(path string) feedtest.Answer {
		t.Helper()
		var deleted []struct {
			ID   int64
			Name string
		}
		a := feedtest.Do(t, feedtest.Request(t, "GET", d.URL+"/api/packages/asset/deleted", nil, "X-ApiKey", d.Key))
		require.NoError(t, json.Unmarshal(a.Body, &deleted), string(a.Body))
		for _, v := range deleted {
			if v.Name == path {
				return feedtest.Do(t, feedtest.Request(t, "POST", fmt.Sprintf("%s/api/packages/asset/restore?id=%d", d.URL, v.ID), nil, "X-ApiKey", d.Key))
			}
		}
		require.Fail(t, "it was not deleted", path)
		return feedtest.Answer{}
	}
	for _, test := range []struct{ path, instead, refused string }{
		{"a/x", "a/x/y", `"/a/x" is a folder, not a file.`},
		{"b/x/y", "b/x", `"b/x" is a file, so nothing can be below it.`},
		{"c/", "c", `"c" is a file, not a folder.`},
	} {
		if folder, made := strings.CutSuffix(test.path, "/"); made {
			d.must(201, "POST", "dir/"+folder, "")
			d.must(200, "POST", "delete/"+folder, "")
		} else {
			d.must(201, "PUT", "content/"+test.path, test.path)
			d.must(200, "DELETE", "content/"+test.path, "")
		}
		d.must(201, "PUT", "content/"+test.instead, "instead")
		a := restore(test.path)
		require.Equal(t, 400, a.StatusCode, test.path)
		require.Contains(t, string(a.Body), test.refused)
		d.must(200, "DELETE", "content/"+test.instead, "")
		require.Equal(t, 200, restore(test.path).StatusCode, "as soon as it fits in again")
	}
}

// TestOtherDoors: what is uploaded on the page or through the native API goes where
// it is said to, unless that is another's place.
func TestOtherDoors(t *testing.T) {
	t.Parallel()
	d := start(t)
	api := func(status int, path, file string) {
		t.Helper()
		a := feedtest.Do(t, feedtest.Request(t, "PUT", d.URL+"/api/packages/asset/upload/"+path, []byte(file), "X-ApiKey", d.Key))
		require.Equal(t, status, a.StatusCode, "%s: %s", path, a.Body)
	}
	page := func(status int, folder, name string) {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		require.NoError(t, form.WriteField("path", folder))
		file, err := form.CreateFormFile("file", name)
		require.NoError(t, err)
		_, err = file.Write([]byte("by the page"))
		require.NoError(t, err)
		require.NoError(t, form.Close())
		r := feedtest.Request(t, "POST", d.URL+"/feeds/asset/upload", body.Bytes(), "Content-Type", form.FormDataContentType())
		r.SetBasicAuth("Admin", d.Password)
		a := feedtest.Do(t, r)
		require.Equal(t, status, a.StatusCode, string(a.Body))
	}
	api(200, "a/file.txt", "by the API")
	page(303, "/a/b/", "other.txt")
	require.Equal(t, []string{"a/", "a/b/", "a/b/other.txt", "a/file.txt"}, d.list("?recursive=true"))
	for _, path := range []string{"a", "a/b", "a/file.txt/below"} {
		api(400, path, "no place")
	}
	page(400, "a/file.txt", "below")
	page(400, "a/../..", "x")
	page(409, "a/b", "OTHER.txt")
	taken := feedtest.Do(t, feedtest.Request(t, "PUT", d.URL+"/api/packages/asset/upload/a/file.txt", []byte("x"), "X-ApiKey", d.Key))
	require.Equal(t, 409, taken.StatusCode)
	require.Contains(t, string(taken.Body), "a/file.txt already exists in feed asset: delete it first")
	require.Equal(t, "by the page", d.must(200, "GET", "content/a/b/other.txt", ""))
}

func TestManyItems(t *testing.T) {
	t.Parallel()
	d := start(t)
	want := []string{"a/", "b/", "b/😀", "b/\uffee", "b/c/", "b/c/d", "b0"}
	for i := range 104 {
		want = append(want, fmt.Sprintf("b/%03d", i))
	}
	slices.Sort(want)
	want = slices.Compact(want)
	d.must(201, "POST", "dir/a", "")
	for _, p := range want {
		if !strings.HasSuffix(p, "/") {
			d.must(201, "PUT", "content/"+escape(p), "")
		}
	}
	require.Equal(t, want, d.list("?recursive=true"))
	want = slices.DeleteFunc(want, func(p string) bool { return strings.Contains(strings.TrimSuffix(p, "/"), "/") })
	require.Equal(t, want, d.list(""))
}

// TestMetadata: what is said of items is changed, kept and sent, and nothing can be
// said that is not the author's to say.
func TestMetadata(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.must(201, "PUT", "content/a/b.txt", "text")
	set := func(path, body string) { t.Helper(); d.must(200, "POST", "metadata/"+path, body) }
	set("a/b.txt", `{"type":"text/html","userMetadata":{"one":"1","X-Two":{"value":"2","includeInResponseHeader":true}}}`)
	set("A/B.txt", `{"userMetadataUpdateMode":"update","userMetadata":{"ONE":"eins","three":{"value":"3"}}}`)
	i := d.item("a/b.txt")
	require.Equal(t, "text/html", i.Type)
	require.Equal(t, map[string]any{"ONE": "eins", "three": "3", "X-Two": map[string]any{"value": "2", "includeInResponseHeader": true}}, i.UserMetadata)
	a := d.do("GET", "content/a/b.txt", "")
	require.Equal(t, "2", a.Header.Get("X-Two"))
	require.Empty(t, a.Header.Get("one"))
	d.must(201, "POST", "content/a/b.txt", "another text")
	require.Equal(t, i.UserMetadata, d.item("a/b.txt").UserMetadata, "stays when a file is replaced")
	set("a/b.txt", `{"userMetadataUpdateMode":"replace","userMetadata":{"x":"y"}}`)
	require.Equal(t, map[string]any{"x": "y"}, d.item("a/b.txt").UserMetadata)

	cache := func(want string) {
		t.Helper()
		require.Equal(t, want, d.do("GET", "content/a/b.txt", "").Header.Get("Cache-Control"))
	}
	set("", `{"cacheHeader":{"type":"ttl","value":10}}`)
	cache("max-age=10")
	set("a", `{"cacheHeader":{"type":"TTL","value":"60"},"userMetadata":{"of":"the folder"}}`)
	cache("max-age=60")
	require.Equal(t, map[string]any{"of": "the folder"}, d.item("a").UserMetadata)
	require.EqualValues(t, 60, d.item("a").CacheHeader.Value)
	set("a/b.txt", `{"cacheHeader":{"type":"custom","value":"public, max-age=1"}}`)
	cache("public, max-age=1")
	set("a/b.txt", `{"cacheHeader":{"noCache":true}}`)
	cache("no-store")
	set("a/b.txt", `{"cacheHeader":{"type":"inherit"}}`)
	cache("max-age=60")
	require.Equal(t, "inherit", d.item("a/b.txt").CacheHeader.Type)
	require.Equal(t, []string{"a/"}, d.list(""))

	for name, body := range map[string]string{
		"no JSON":            `junk`,
		"a list":             `[]`,
		"cut off":            `{"type":"text/plain"`,
		"mode":               `{"userMetadataUpdateMode":"merge"}`,
		"media type":         `{"type":"text/html\r\nSet-Cookie: a=b"}`,
		"empty key":          `{"userMetadata":{"":"x"}}`,
		"key twice":          `{"userMetadata":{"a":"x","A":"y"}}`,
		"line break in key":  `{"userMetadata":{"a\nb":"x"}}`,
		"long value":         `{"userMetadata":{"a":"` + strings.Repeat("x", 4097) + `"}}`,
		"number":             `{"userMetadata":{"a":1}}`,
		"injection by value": `{"userMetadata":{"X-A":{"value":"x\r\nSet-Cookie: a=b","includeInResponseHeader":true}}}`,
		"injection by key":   `{"userMetadata":{"X-A: b, X":{"value":"x","includeInResponseHeader":true}}}`,
		"cookie":             `{"userMetadata":{"set-Cookie":{"value":"x","includeInResponseHeader":true}}}`,
		"proxy":              `{"userMetadata":{"X-Accel-Redirect":{"value":"/etc/passwd","includeInResponseHeader":true}}}`,
		"length":             `{"userMetadata":{"Content-Length":{"value":"1","includeInResponseHeader":true}}}`,
		"no ASCII":           `{"userMetadata":{"X-A":{"value":"ü","includeInResponseHeader":true}}}`,
		"cache type":         `{"cacheHeader":{"type":"sometimes"}}`,
		"negative":           `{"cacheHeader":{"type":"ttl","value":-1}}`,
		"no number":          `{"cacheHeader":{"type":"ttl","value":"1 day"}}`,
		"cache injection":    `{"cacheHeader":{"type":"custom","value":"a\r\nSet-Cookie: a=b"}}`,
		"no cache header":    `{"cacheHeader":{"type":"custom"}}`,
		"large":              `{"type":"` + strings.Repeat(" ", 1<<20) + `"}`,
	} {
		require.Greater(t, len(d.must(400, "POST", "metadata/a/b.txt", body)), 20, name)
	}
	d.must(400, "POST", "metadata/a", `{"type":"text/plain"}`)
	require.Equal(t, map[string]any{"x": "y"}, d.item("a/b.txt").UserMetadata)
}

// TestConcurrentMetadata: of changes at the same time through different nodes none
// is lost.
func TestConcurrentMetadata(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.must(201, "PUT", "content/f", "")
	var all sync.WaitGroup
	for n := range 12 {
		all.Go(func() {
			r := feedtest.Request(t, "POST", d.Feed+"/metadata/f", fmt.Appendf(nil, `{"userMetadata":{"k%d":"v"}}`, n), "X-ApiKey", d.Key)
			resp, err := http.DefaultTransport.RoundTrip(r)
			if assert.NoError(t, err) {
				assert.Equal(t, 200, resp.StatusCode)
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	require.Len(t, d.item("f").UserMetadata, 12)
}

// TestMultipart: parts come in any order through different nodes, and nothing is
// there before all is.
func TestMultipart(t *testing.T) {
	t.Parallel()
	d := start(t)
	content := strings.Repeat("0123456789", 1000)
	const size = 3000
	part := func(id string, index int, body string) feedtest.Answer {
		return d.do("POST", fmt.Sprintf("content/large.bin?id=%s&multipart=upload&index=%d&offset=%d&totalSize=%d&partSize=%d&totalParts=4", id, index, index*size, len(content), len(body)), body)
	}
	chunk := func(i int) string { return content[i*size : min((i+1)*size, len(content))] }
	complete := "content/large.bin?id=A&multipart=complete"
	for _, i := range []int{3, 0, 2} {
		require.Equal(t, 200, part("A", i, chunk(i)).StatusCode)
	}
	d.must(400, "POST", complete, "")
	d.must(404, "GET", "content/large.bin", "")
	require.Equal(t, 200, part("A", 2, chunk(2)).StatusCode, "twice, since its answer may have been lost")
	d.must(400, "POST", "content/large.bin?id=A&multipart=upload&index=1&offset=3000&totalSize=9999&partSize=1&totalParts=4", "x")
	d.must(400, "POST", "content/large.bin?id=A&multipart=upload&index=1&offset=2999&totalSize=10000&partSize=2&totalParts=4", "xx")
	require.Equal(t, 200, part("A", 1, chunk(1)).StatusCode)
	d.must(200, "POST", complete, "")
	d.must(200, "POST", complete, "") // likewise
	require.Equal(t, content, d.must(200, "GET", "content/large.bin", ""))
	i := d.item("large.bin")
	require.Len(t, i.MD5, 32)
	require.Len(t, i.SHA512, 128)
	d.must(400, "POST", "content/other.bin?id=A&multipart=complete", "")

	require.Equal(t, 200, part("B", 0, chunk(0)).StatusCode)
	require.Contains(t, d.must(400, "POST", "content/large.bin?id=B&multipart=complete", ""), "send those that are missing")
	require.Equal(t, content, d.must(200, "GET", "content/large.bin", ""))
	for i := 1; i < 4; i++ {
		require.Equal(t, 200, part("B", i, chunk(i)).StatusCode, "it goes on")
	}
	d.must(200, "POST", "content/large.bin?id=B&multipart=complete", "")

	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			r := feedtest.Request(t, "POST", fmt.Sprintf("%s/content/at-once?id=C&multipart=upload&index=%d&offset=%d&totalSize=%d&partSize=%d&totalParts=4", d.Feed, i, i*size, len(content), len(chunk(i))),
				[]byte(chunk(i)), "X-ApiKey", d.Key, "Content-Type", "text/x-own")
			resp, err := http.DefaultTransport.RoundTrip(r)
			if assert.NoError(t, err) {
				assert.Equal(t, 200, resp.StatusCode)
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	d.must(200, "POST", "content/at-once?id=C&multipart=complete", "")
	require.Equal(t, content, d.must(200, "GET", "content/at-once", ""))
	require.Equal(t, "text/x-own", d.item("at-once").Type)
}
