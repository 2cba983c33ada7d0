package universal

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // what identification strings have
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

func push(t testing.TB, base, name, version string) (*http.Request, []byte) {
	t.Helper()
	m := manifest{Name: name, Version: version}
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		m.Group, m.Name = name[:i], name[i+1:]
	}
	text, err := json.Marshal(m)
	require.NoError(t, err)
	file := archive(t, manifestName, string(text), "package/a.txt", "content of "+name)
	return feedtest.Request(t, http.MethodPost, base+"/upload", file, "Content-Type", "application/zip"), file
}

func TestConformance(t *testing.T) {
	t.Parallel()
	feedtest.Run(t, feedtest.Suite{
		Type: New(nil), Push: push, Name: "acme/tools/hdars", Three: [3]string{"1.2.3", "1.10.0", "2.0.0-rc.1"},
		Versions: []feedtest.Version{{Text: "1.2.3"}, {Text: "1.9.0"}, {Text: "1.10.0"}, {Text: "2.0.0-rc.1", Prerelease: true}, {Text: "2.0.0"}},
		Delete: func(t testing.TB, base, name, version string) *http.Request {
			return feedtest.Request(t, http.MethodDelete, base+"/delete/"+name+"/"+version, nil)
		},
		SignIn: func(r *http.Request, key string) { r.Header.Set("X-ApiKey", key) },
		Documents: func(base, name string) []string {
			i := strings.LastIndexByte(name, '/')
			q := url.Values{"group": {name[:max(i, 0)]}, "name": {name[i+1:]}}.Encode()
			return []string{base + "/packages?" + q, base + "/versions?" + q, base + "/versions"}
		},
		Download: func(base, name, version string) string {
			return base + "/download/" + name + "/" + url.PathEscape(version)
		},
		Names:   [][2]string{{"a", "0.0.0"}, {"A.b-C_d/e", "1.0.0-a.b-c.1+d.e"}, {"1.2.3", "1.2.3"}, {strings.Repeat("g/", 100) + "g/n", "1.0.0"}, {"-", "99999999999.0.0"}},
		Refused: refused,
	})
}

func refused(t testing.TB, base string) map[string]*http.Request {
	t.Helper()
	request := func(method, rest, body string, header ...string) *http.Request {
		return feedtest.Request(t, method, base+"/"+rest, []byte(body), header...)
	}
	good := string(archive(t, manifestName, `{"name":"a","version":"1.0.0"}`))
	vpack := func(contents string) *http.Request {
		return request("PUT", "upload", `{"name":"v","version":"1.0.0",`+contents+`}`)
	}
	inJSON := func(body string) *http.Request {
		return request("POST", "upload", body, "Content-Type", "application/json")
	}
	return map[string]*http.Request{
		"empty":                  request("POST", "upload", ""),
		"junk":                   request("POST", "upload", "junk"),
		"foreign zip":            request("POST", "upload", string(archive(t, "a.txt", "a"))),
		"foreign zip by path":    request("POST", "upload/a/1.0.0", string(archive(t, "a.txt", "a"))),
		"another by path":        request("POST", "upload/b/1.0.0", good),
		"path against query":     request("PUT", "upload/a/1.0.0?name=b", good),
		"group against query":    request("PUT", "upload/g/a/1.0.0?group=h", good),
		"version against query":  request("PUT", "upload/a/1.0.0?version=1.0.1", good),
		"group alone":            request("PUT", "upload?group=b", good),
		"form without a file":    request("POST", "upload", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n", "Content-Type", "multipart/form-data; boundary=x"),
		"no JSON":                inJSON("junk"),
		"a list":                 inJSON("[]"),
		"null":                   inJSON("null"),
		"no content":             inJSON(`{"name":"a","version":"1.0.0"}`),
		"two contents":           inJSON(`{"content-b64":"eA==","content-url":"http://localhost/"}`),
		"content twice":          inJSON(`{"content-b64":"eA==","CONTENT-B64":"eA=="}`),
		"no base64":              inJSON(`{"content-b64":"!"}`),
		"no text":                inJSON(`{"content-b64":1}`),
		"URL":                    inJSON(`{"name":"a","version":"1.0.0","content-url":"http://localhost/a.zip"}`),
		"URL of a file":          inJSON(`{"content-url":"file:///etc/passwd"}`),
		"large":                  inJSON(`{"content-b64":"` + strings.Repeat("A", maxFields) + `"}`),
		"form":                   request("POST", "upload", "%zz", "Content-Type", "application/x-www-form-urlencoded"),
		"vpack: nothing":         vpack(`"contents":[]`),
		"vpack: null":            vpack(`"contents":[null]`),
		"vpack: number":          vpack(`"contents":[1]`),
		"vpack: id":              vpack(`"contents":["a"]`),
		"vpack: range":           vpack(`"contents":["a:[1.0.0,2.0.0)"]`),
		"vpack: hash":            vpack(`"contents":["a:1.0.0:xyz"]`),
		"vpack: URL":             vpack(`"contents":[{"source":{"url":"ftp://a/b"}}]`),
		"vpack: credentials":     vpack(`"contents":["http://a:b@c/d"]`),
		"vpack: two sources":     vpack(`"contents":[{"source":{"url":"http://a/b","name":"c","version":"1.0.0"}}]`),
		"vpack: asset":           vpack(`"contents":[{"source":{"asset":"a"}}]`),
		"vpack: directory":       vpack(`"contents":[{"source":{"feed":"none","asset":"a"}}]`),
		"vpack: type":            vpack(`"contents":[{"type":"","source":"a:1.0.0"}]`),
		"vpack: parent":          vpack(`"contents":[{"virtualPath":"../a","source":"a:1.0.0"}]`),
		"vpack: meta's manifest": vpack(`"metaContents":[{"virtualPath":"UPACK.json","source":{"url":"http://a/b"}}]`),
		"vpack: meta's package":  vpack(`"metaContents":[{"virtualPath":"package/a","source":"a:1.0.0"}]`),
		"vpack: too many":        vpack(`"contents":["` + strings.Repeat(`a:1.0.0","`, maxContents) + `a:1.0.0"]`),
		"vpack: large":           request("PUT", "upload", `{"name":"v",`+strings.Repeat(" ", 1<<20)),
		"tags":                   request("PUT", "upload", string(archive(t, manifestName, `{"name":"a","version":"1.0.0","tags":["a","a"]}`))),
		"import of a server's":   request("POST", "import", `{"from":"/etc/passwd"}`),
		"import of nothing":      request("POST", "import", `{"assetDirectory":"none","from":"a"}`),
		"import without JSON":    request("POST", "import", "from=a"),
		"latest":                 request("GET", "download/none?latest", ""),
		"address":                request("GET", "upload", ""),
	}
}

// world is a cluster with a universal feed and an asset directory.
type world struct {
	*feedtest.Cluster
	t *testing.T
}

func newWorld(t *testing.T, opts *Options) *world {
	return &world{feedtest.Start(t, New(opts), asset.New()), t}
}

func (w *world) do(method, address, body string, header ...string) feedtest.Answer {
	w.t.Helper()
	if !isURL(address) {
		address = w.Feed + "/" + address
	}
	return feedtest.Do(w.t, feedtest.Request(w.t, method, address, []byte(body), append([]string{"X-ApiKey", w.Key}, header...)...))
}

func (w *world) must(status int, method, address, body string, header ...string) string {
	w.t.Helper()
	a := w.do(method, address, body, header...)
	require.Equal(w.t, status, a.StatusCode, "%s %s: %s", method, address, a.Body)
	return string(a.Body)
}

// content returns the files of a package.
func (w *world) content(address string) map[string]string {
	w.t.Helper()
	text := w.must(200, "GET", address, "")
	z, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
	require.NoError(w.t, err)
	files := make(map[string]string)
	for _, f := range z.File {
		in, err := f.Open()
		require.NoError(w.t, err)
		body, err := io.ReadAll(in)
		require.NoError(w.t, err)
		files[f.Name] = string(body)
	}
	return files
}

// TestUploads: the ways in which a package or its content is sent.
func TestUploads(t *testing.T) {
	t.Parallel()
	foreign := archive(t, "a.txt", "a", "b/c.txt", "c")
	var tgz bytes.Buffer
	z := gzip.NewWriter(&tgz)
	tw := tar.NewWriter(z)
	require.NoError(t, tw.WriteHeader(&tar.Header{Name: "./a.txt", Mode: 0o755, Size: 1, Typeflag: tar.TypeReg}))
	_, err := tw.Write([]byte("a"))
	require.NoError(t, err)
	require.NoError(t, tw.Close())
	require.NoError(t, z.Close())
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://localhost:1/internal", http.StatusFound)
			return
		}
		if r.URL.Path != "/foreign.zip" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(foreign)
	}))
	defer files.Close()
	host, _ := url.Parse(files.URL)
	w := newWorld(t, &Options{FetchHosts: []string{host.Host}})
	const form = "application/x-www-form-urlencoded"
	b64 := base64.StdEncoding.EncodeToString(foreign)

	w.must(201, "POST", "upload?name=zip&version=1.0.0&title=A+title&_own=1&tags=one,two&key="+w.Key, string(foreign))
	got := w.content("download/zip/1.0.0")
	require.Equal(t, "c", got["package/b/c.txt"])
	require.JSONEq(t, `{"name":"zip","version":"1.0.0","title":"A title","_own":"1","tags":["one","two"]}`, got[manifestName], "and not the key")
	w.must(201, "PUT", "upload/g/tgz/1.0.0?title=T", tgz.String())
	require.Equal(t, "a", w.content("download/g/tgz/1.0.0")["package/a.txt"])
	w.must(201, "POST", "upload?title=New", string(archive(t, manifestName, `{"name":"more","version":"1.0.0","title":"Old","_x":[1]}`, "package/a", "a", "meta", "m")))
	got = w.content("download/more/1.0.0")
	require.JSONEq(t, `{"name":"more","version":"1.0.0","title":"New","_x":[1]}`, got[manifestName])
	require.Equal(t, "m", got["meta"])
	same := archive(t, manifestName, `{"name":"same","version":"1.0.0"}`)
	w.must(201, "POST", "upload?name=SAME&version=1.0.0", string(same))
	require.Equal(t, string(same), w.must(200, "GET", "download/same?latest", ""), "byte for byte")
	w.must(201, "POST", "upload", `{"name":"json","version":"1.0.0","dependencies":["a:1.0.0"],"_own":{"a":1},"content-b64":"`+b64+`","API_Key":"secret"}`, "Content-Type", "application/json")
	got = w.content("download/json/1.0.0")
	require.Equal(t, "a", got["package/a.txt"])
	require.JSONEq(t, `{"name":"json","version":"1.0.0","dependencies":["a:1.0.0"],"_own":{"a":1}}`, got[manifestName])
	w.must(201, "POST", "upload/form/1.0.0", url.Values{"content-b64": {b64}, "dependencies": {"a, b:1.0.0"}}.Encode(), "Content-Type", form)
	require.JSONEq(t, `{"name":"form","version":"1.0.0","dependencies":["a","b:1.0.0"]}`, w.content("download/form/1.0.0")[manifestName])
	w.must(201, "POST", "upload", url.Values{"content-url": {files.URL + "/foreign.zip"}, "name": {"url"}, "version": {"1.0.0"}}.Encode(), "Content-Type", form)
	require.Equal(t, "a", w.content("download/url/1.0.0")["package/a.txt"])
	w.must(201, "POST", "upload", `{"name":"curl","version":"1.0.0","contents":["url:1.0.0"]}`, "Content-Type", form)
	require.Equal(t, "a", w.content("download/curl/1.0.0")["package/a.txt"])
	w.must(409, "POST", "upload?name=url&version=1.0.0", string(foreign))
	for _, bad := range []string{files.URL + "/none", files.URL + "/away", "http://localhost:1/", "http://169.254.169.254/latest"} {
		require.Greater(t, len(w.must(400, "POST", "upload", url.Values{"content-url": {bad}, "name": {"bad"}, "version": {"1.0.0"}}.Encode(), "Content-Type", form)), 20)
	}
	for name, body := range map[string]string{
		"damaged tgz":    tgz.String()[:tgz.Len()-9],
		"broken package": string(archive(t, manifestName, "junk")),
		"broken entry":   strings.Replace(string(foreign), "PK\x03\x04", "PK\x03\x05", 1),
		"junk":           "junk",
	} {
		require.Greater(t, len(w.must(400, "POST", "upload?name=bad&version=1.0.0", body)), 20, name)
	}
	w.must(400, "POST", "upload?name=bad&version=1", string(foreign))
	w.must(404, "GET", "download/bad?latest", "")
}

// TestVirtual: a virtual package is assembled when it is asked for first, out of
// all kinds of sources, and the first file wins.
func TestVirtual(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	fetched := 0
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fetched++
		_, _ = fmt.Fprint(w, "fetched")
	}))
	defer files.Close()
	w := newWorld(t, &Options{FetchHosts: []string{"127.0.0.1"}})
	one := archive(t, manifestName, `{"name":"one","version":"1.0.0"}`, "package/a.txt", "one", "package/d/b.txt", "b", "meta.txt", "m")
	w.must(201, "POST", "upload", string(one))
	w.must(201, "POST", "upload", string(archive(t, manifestName, `{"group":"g","name":"two","version":"2.0.0"}`, "package/A.txt", "two", "package/c.txt", "c")))
	assets := w.URL + "/endpoints/asset/"
	w.must(201, "PUT", assets+"content/logos/Logo.png", "png")
	sum := sha1.Sum(one) //nolint:gosec // see above
	fileSum := sha1.Sum([]byte("fetched"))
	vpack := fmt.Sprintf(`{"name":"all","version":"1.0.0","title":"All","contents":["one:1.0.0:%s","g/two:2.0.0",
		{"virtualPath":"sub","source":"g:two:2.0.0"},{"virtualPath":"x/only.txt","type":"virtualFile","source":{"name":"one","version":"1.0.0","packagePath":"package/d/b.txt"}},
		"%s/folder/file.bin",{"virtualPath":"a.txt","source":{"url":"%s/ignored","hash":"%x"}},{"virtualPath":"img/","source":{"feed":"Asset","asset":"logos/logo.PNG"}}],
		"metaContents":[{"virtualPath":"notes/meta.txt","source":{"url":"%s/x"}}]}`, hex.EncodeToString(sum[:]), files.URL, files.URL, fileSum, files.URL)
	w.must(201, "POST", "upload", vpack)
	w.must(201, "POST", "upload", `{"name":"nested","version":"1.0.0","contents":[{"virtualPath":"in","source":"all:1.0.0"}]}`, "Content-Type", "application/json")
	require.Equal(t, vpack, w.must(200, "GET", "download-vpack/all/1.0.0", ""))
	require.Equal(t, vpack, w.must(200, "GET", "download-vpack/all?latest", ""))
	w.must(400, "GET", "download-vpack/one/1.0.0", "")
	w.must(404, "GET", "download-vpack/one/2.0.0", "")
	require.Contains(t, w.must(200, "GET", "versions?name=all&version=1.0.0", ""), `"isVirtual":true,"sha1":""`)

	bodies := make(map[string]int)
	var all sync.WaitGroup
	for n := range 9 {
		all.Go(func() {
			resp, err := http.Get(w.Nodes[n%3] + "/upack/universal/download/all/1.0.0")
			if !assert.NoError(t, err) {
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			assert.NoError(t, err)
			assert.Equal(t, 200, resp.StatusCode, "%s", body)
			assert.Equal(t, "attachment; filename=all-1.0.0.upack", resp.Header.Get("Content-Disposition"))
			mu.Lock()
			defer mu.Unlock()
			bodies[string(body)]++
		})
	}
	all.Wait()
	require.Len(t, bodies, 1, "the same bytes for everybody")
	require.Equal(t, map[string]string{
		manifestName: "{\n  \"name\": \"all\",\n  \"title\": \"All\",\n  \"version\": \"1.0.0\"\n}", "package/a.txt": "one", "package/d/b.txt": "b", "package/c.txt": "c",
		"package/sub/A.txt": "two", "package/sub/c.txt": "c", "package/x/only.txt": "b", "package/file.bin": "fetched", "package/img/Logo.png": "png", "notes/meta.txt": "fetched",
	}, lowerLogo(w.content("download/all/1.0.0")))
	before := fetched
	require.Equal(t, "png", w.content("download/nested/1.0.0")["package/in/img/logo.PNG"])
	require.Equal(t, before, fetched, "kept")
	require.NotContains(t, w.must(200, "GET", "versions?name=all&version=1.0.0", ""), `"sha1":""`)
	require.Contains(t, w.must(200, "GET", "versions?name=all&version=1.0.0&includeFileList=true", ""), "package/c.txt")
	require.Equal(t, "c", w.must(200, "GET", "download-file/all?latest&path=package/c.txt", ""))
	w.must(200, "GET", "download/all/1.0.0?contentOnly=tgz", "")

	letters := strings.Repeat("Ⱥ", 20) // each is longer in lower case
	w.must(201, "POST", "upload", string(archive(t, manifestName, `{"name":"letters","version":"1.0.0"}`, "package/"+letters, "l", "package/"+letters+"d/"+letters, "ll")))
	w.must(201, "POST", "upload", `{"name":"of-letters","version":"1.0.0","contents":["letters:1.0.0",{"virtualPath":"x","source":{"name":"letters","version":"1.0.0","packagePath":"package/`+letters+`d"}}]}`, "Content-Type", "application/json")
	made := w.content("download/of-letters/1.0.0")
	require.Equal(t, []string{"l", "ll", "ll"}, []string{made["package/"+letters], made["package/"+letters+"d/"+letters], made["package/x/"+letters]})

	many := `"v0:1.0.0"`
	w.must(201, "POST", "upload", `{"name":"v0","version":"1.0.0","contents":["one:1.0.0"]}`)
	for level := range maxNesting - 1 { // which would take for ever if each were made whenever it is named
		w.must(201, "POST", "upload", fmt.Sprintf(`{"name":"v%d","version":"1.0.0","contents":[%s]}`, level+1, strings.Repeat(many+",", 200)+many))
		many = fmt.Sprintf(`"v%d:1.0.0"`, level+1)
	}
	require.Equal(t, "one", w.content(fmt.Sprintf("download/v%d/1.0.0", maxNesting-1))["package/a.txt"])

	for name, contents := range map[string]string{
		"missing":   `"none:1.0.0"`,
		"hash":      `"one:1.0.0:` + strings.Repeat("0", 40) + `"`,
		"file hash": `{"virtualPath":"f","source":{"url":"` + files.URL + `","hash":"` + strings.Repeat("0", 40) + `"}}`,
		"host":      `"http://localhost:1/x"`,
		"itself":    `"bad-itself:1.0.0"`,
		"asset":     `{"source":{"feed":"asset","asset":"none"}}`,
		"nothing":   `{"source":{"name":"one","version":"1.0.0","packagePath":"none"}}`,
	} {
		name = "bad-" + strings.ReplaceAll(name, " ", "-")
		w.must(201, "POST", "upload", `{"name":"`+name+`","version":"1.0.0","contents":["one:1.0.0",`+contents+`]}`)
		a := w.do("GET", "download/"+name+"/1.0.0", "")
		require.Equal(t, 4, a.StatusCode/100, "%s: %s", name, a.Body)
		require.Greater(t, len(a.Body), 20, name)
	}
}

func lowerLogo(files map[string]string) map[string]string {
	files["package/img/Logo.png"] = files["package/img/logo.PNG"]
	delete(files, "package/img/logo.PNG")
	return files
}

// TestBlocked: a blocked version is in no list, and never the latest.
func TestBlocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		w.must(201, "POST", "upload", string(archive(t, manifestName, `{"group":"g","name":"a","version":"`+version+`"}`, "package/v", version)))
	}
	block := func(version string) {
		w.must(200, "POST", w.URL+"/api/packages/universal/status?group=g&name=a&version="+version, `{"allow":false}`)
	}
	lists := []string{"packages?group=g&name=a", "packages", "packages?group=g", "versions?group=g&name=a", "versions", "search?term=a"}
	block("1.1.0")
	require.Equal(t, "1.0.0", w.content("download/g/a?latest")["package/v"])
	require.Equal(t, "1.0.0", w.must(200, "GET", "download-file/g/a?latest&path=package/v", ""))
	for _, list := range lists {
		text := w.must(200, "GET", list, "")
		require.Contains(t, text, `"1.0.0"`, list)
		require.NotContains(t, text, "1.1.0", list)
	}
	w.must(404, "GET", "versions?group=g&name=a&version=1.1.0", "")
	require.Contains(t, w.must(200, "GET", "meta", ""), `"packageVersionCount":1`)

	block("1.0.0")
	w.must(404, "GET", "download/g/a?latest", "")
	w.must(404, "GET", lists[0], "")
	for _, list := range lists[1:] {
		require.Equal(t, "[]", strings.TrimSpace(w.must(200, "GET", list, "")), list)
	}
}

// TestImport: a package is taken from an asset directory by who may do so there.
func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	assets := w.URL + "/endpoints/asset/"
	file := string(archive(t, manifestName, `{"name":"a","version":"1.0.0"}`))
	w.must(201, "PUT", assets+"content/in/a.upack", file)
	w.must(200, "POST", "import", `{"assetDirectory":"Asset","from":"in\\A.upack","deleteFromSource":false}`)
	require.Equal(t, file, w.must(200, "GET", "download/a/1.0.0", ""))
	w.must(409, "POST", "import", `{"assetDirectory":"asset","from":"in/a.upack"}`)
	w.must(200, "GET", assets+"content/in/a.upack", "")
	w.must(200, "DELETE", "delete/a/1.0.0", "")
	w.must(404, "POST", "import", `{"assetDirectory":"asset","from":"in/none.upack"}`)
	w.must(400, "POST", "import", `{"assetDirectory":"universal","from":"a"}`)
	var made struct{ Key string }
	text := w.must(200, "POST", w.URL+"/api/api-keys/create", `{"type":"Feed","feed":"universal","packagePermissions":["view","add"]}`, "X-ApiKey", "Admin:"+w.Password)
	require.NoError(t, json.Unmarshal([]byte(text), &made))
	w.must(403, "POST", "import", `{"assetDirectory":"asset","from":"in/a.upack"}`, "X-ApiKey", made.Key)
	w.must(200, "POST", "import", `{"assetDirectory":"asset","from":"in/a.upack"}`)
	w.must(404, "GET", assets+"content/in/a.upack", "")
	require.Equal(t, file, w.must(200, "GET", "download/a/1.0.0", ""))
	require.Contains(t, w.must(200, "GET", "meta", ""), `"packageVersionCount":1`)
}

// FuzzVirtual: what is accepted of a virtual package has its place below its own
// folder.
func FuzzVirtual(f *testing.F) {
	f.Add([]byte(`{"name":"a","version":"1.0.0","contents":["g/b:1.0.0:0000000000000000000000000000000000000000","http://a/b",{"virtualPath":"x/","source":{"feed":"f","asset":"c/d"}}]}`))
	f.Add([]byte(`{"name":"a","version":"1.0.0","metaContents":[{"type":"virtualFile","targetPath":"x","source":{"name":"b","version":"1.0.0","packagePath":"package/x"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := readVirtual(text)
		if err != nil {
			require.NotEmpty(t, proget.Message(err))
			return
		}
		for _, r := range v.Contents {
			to, err := r.place(false)
			require.NoError(t, err)
			require.True(t, to == "package" || strings.HasPrefix(to, contentPrefix), to)
			require.NotContains(t, "/"+to+"/", "/../")
		}
		for _, r := range v.MetaContents {
			to, err := r.place(true)
			require.NoError(t, err)
			require.False(t, taken(to), to)
			require.NotContains(t, "/"+to+"/", "/../")
		}
	})
}

// FuzzWrap: of whatever archive is made a package, if any.
func FuzzWrap(f *testing.F) {
	f.Add(archive(f, "a", "a", "b/c", "c"))
	f.Add(archive(f, manifestName, `{"name":"a","version":"1.0.0","title":"old"}`, "package/a", "a"))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte(`{"name":"v","version":"1.0.0","contents":["a:1.0.0"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		write, err := wrap(t.Context(), bytes.NewReader(b), int64(len(b)), map[string]any{"name": "a", "version": "1.0.0", "title": "new"})
		if err != nil {
			require.NotEmpty(t, proget.Message(err), err)
			return
		}
		var out bytes.Buffer
		if write == nil {
			out.Write(b)
		} else if err := write(&out); err != nil {
			require.NotEmpty(t, proget.Message(err), err)
			return
		}
		if _, err := inspectBytes(t, out.Bytes()); err != nil {
			require.NotEmpty(t, proget.Message(err), err)
		}
	})
}
