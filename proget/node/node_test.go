package node_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/internal/direct"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/feed/universal"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/s3"
)

const apiKey = "key-for-tests"

// world is what nodes share.
type world struct {
	database string
	folder   string
	blobs    *storage.Store
	keys     *auth.Keyring
}

func newWorld(t testing.TB) *world {
	t.Helper()
	folder := t.TempDir()
	blobs, err := storage.Open(t.Context(), "file:///"+strings.TrimPrefix(filepath.ToSlash(folder), "/"),
		&storage.Options{Services: []storage.Service{s3.Service()}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = blobs.Close() })
	keys, err := auth.ParseKeyring("00112233445566778899aabbccddeeff")
	require.NoError(t, err)
	return &world{filepath.Join(t.TempDir(), "test.db"), folder, blobs, keys}
}

// start starts a node that ends with the test.
func (w *world) start(t testing.TB, name string, change ...func(*node.Config)) *httptest.Server {
	t.Helper()
	server, _ := w.startNode(t, name, change...)
	return server
}

// startNode is start for who wants to know the node, too.
func (w *world) startNode(t testing.TB, name string, change ...func(*node.Config)) (*httptest.Server, *node.Node) {
	t.Helper()
	cfg := w.config(t, name)
	for _, c := range change {
		c(&cfg)
	}
	n, err := node.New(t.Context(), cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = n.Run(ctx) })
	require.Eventually(t, n.Running, waitLong, waitShort)
	server := httptest.NewUnstartedServer(n.Handler())
	server.Listener = direct.Listener(server.Config, server.Listener) // as node.Serve has it
	server.Start()
	t.Cleanup(func() {
		server.Close()
		cancel()
		running.Wait()
		require.NoError(t, n.Close())
	})
	return server, n
}

// config is what a node of the world is made of.
func (w *world) config(t testing.TB, name string) node.Config {
	t.Helper()
	store, err := sqlite.Open(t.Context(), w.database, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return node.Config{DB: store, Blobs: w.blobs, Keys: w.keys, Feeds: []feed.Type{nuget.New(nil), universal.New(nil)}, Name: name,
		FirstStart: &node.FirstStart{Password: "password", APIKey: apiKey}, CacheDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
}

// webOnly keeps a node from leading, and so from writing index files.
func webOnly(c *node.Config) { c.Roles = []string{node.RoleWeb} }

func archive(t testing.TB, files ...string) []byte {
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

// ask sends a request and returns the answer with its body read.
func ask(t testing.TB, method, url string, body []byte, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

// files counts the files of packages, those of uploads under way included.
func (w *world) files(t testing.TB) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(w.folder, storage.BlobPrefix), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	require.NoError(t, err)
	return n
}

// TestEveryNodeSeesItAtOnce: each change through one node is what the next
// request to another sees, search included.
func TestEveryNodeSeesItAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a").URL+"/nuget/nuget", w.start(t, "b").URL+"/nuget/nuget"
	for n := range 20 {
		version := fmt.Sprintf("1.0.%d", n)
		resp, text := ask(t, "PUT", a+"/api/v2/package", testenv.Nupkg(t, "Acme.Lib", version), "X-NuGet-ApiKey", apiKey)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
		_, text = ask(t, "GET", b+"/v3/flatcontainer/acme.lib/index.json", nil)
		require.Contains(t, text, `"`+version+`"`)
		_, text = ask(t, "GET", b+"/v3/search?q=acme", nil)
		require.Contains(t, text, `"version":"`+version+`"`)
	}
	resp, _ := ask(t, "DELETE", b+"/api/v2/package/Acme.Lib/1.0.19", nil, "X-NuGet-ApiKey", apiKey)
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	_, text := ask(t, "GET", a+"/v3/search?q=acme", nil)
	require.Contains(t, text, `"version":"1.0.18"`)
	require.NotContains(t, text, "1.0.19", "unlisted through the other node")
	_, text = ask(t, "GET", a+"/v3/flatcontainer/acme.lib/index.json", nil)
	require.Contains(t, text, "1.0.19", "but still there for those who have it")
	api := strings.TrimSuffix(a, "/nuget/nuget") + "/api/packages/nuget/delete?name=acme.lib&version=1.0.19"
	resp, _ = ask(t, "POST", api, nil, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	_, text = ask(t, "GET", b+"/v3/flatcontainer/acme.lib/index.json", nil)
	require.NotContains(t, text, "1.0.19")
}

func TestConditionalRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := w.start(t, "a").URL + "/nuget/nuget"
	file := testenv.Nupkg(t, "Acme.Lib", "1.0.0")
	_, _ = ask(t, "PUT", base+"/api/v2/package", file, "X-NuGet-ApiKey", apiKey)
	for _, url := range []string{base + "/v3/registration/acme.lib/index.json", base + "/v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg"} {
		plain, body := ask(t, "GET", url, nil, "Accept-Encoding", "identity")
		require.Equal(t, http.StatusOK, plain.StatusCode)
		tag := plain.Header.Get("ETag")
		require.True(t, strings.HasPrefix(tag, `"`), "a strong ETag: %s", tag)
		same, text := ask(t, "GET", url, nil, "If-None-Match", tag, "Accept-Encoding", "identity")
		require.Equal(t, http.StatusNotModified, same.StatusCode)
		require.Empty(t, text)
		head, text := ask(t, "HEAD", url, nil, "Accept-Encoding", "identity")
		require.Empty(t, text)
		require.Equal(t, plain.Header.Get("Content-Length"), head.Header.Get("Content-Length"))
		part, text := ask(t, "GET", url, nil, "Range", "bytes=2-5", "Accept-Encoding", "identity")
		require.Equal(t, http.StatusPartialContent, part.StatusCode)
		require.Equal(t, body[2:6], text)
		for _, header := range []string{"bytes=abc", "bytes=", "bytes=1", "bytes=2-5;", "items=2-5", "2-5"} {
			whole, text := ask(t, "GET", url, nil, "Range", header, "Accept-Encoding", "identity")
			require.Equal(t, http.StatusOK, whole.StatusCode, header)
			require.Equal(t, body, text)
		}
		for header, status := range map[string]int{"bytes=-1": 206, "bytes=0-1 , 3-": 206, "bytes=99999999-": 416, "bytes=-0": 200, "bytes=0-1,-00": 200} {
			part, _ := ask(t, "GET", url, nil, "Range", header, "Accept-Encoding", "identity")
			require.Equal(t, status, part.StatusCode, header)
		}
	}
	zipped, _ := ask(t, "GET", base+"/v3/registration/acme.lib/index.json", nil, "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", zipped.Header.Get("Content-Encoding"))
	again, _ := ask(t, "GET", base+"/v3/registration/acme.lib/index.json", nil, "Accept-Encoding", "gzip", "If-None-Match", zipped.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.StatusCode)
	other, _ := ask(t, "GET", base+"/v3/registration/acme.lib/index.json", nil, "If-Match", `"another"`)
	require.Equal(t, http.StatusPreconditionFailed, other.StatusCode)
}

// TestNoHost: a client that names no host gets addresses at which it reaches the
// server.
func TestNoHost(t *testing.T) {
	t.Parallel()
	server := newWorld(t).start(t, "a", webOnly)
	conn := dial(t, server, "GET /nuget/nuget/v3/index.json HTTP/1.0\r\n\r\n")
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(text), `"`+server.URL+`/nuget/nuget/v3`)
}

// TestBaseURL: addresses in answers are those by which the client called, as the
// proxies that are named say, or anybody if none is.
func TestBaseURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open := w.start(t, "a", webOnly)
	named := w.start(t, "b", webOnly, func(c *node.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")} })
	for host, told := range map[string]string{"packages.example:8443": "https://packages.example:8443/", "[2001:db8::1]": "https://[2001:db8::1]/", "": "https://127.0.0.1:",
		"x:y]:[": "https://127.0.0.1:", "a:b:c": "https://127.0.0.1:", "a/b": "https://127.0.0.1:", "user@host": "https://127.0.0.1:", "a, b": "https://a/"} {
		_, text := ask(t, "GET", open.URL+"/nuget/nuget/v3/index.json", nil, "X-Forwarded-Host", host, "X-Forwarded-Proto", "https")
		require.Contains(t, text, `"`+told, host)
		_, text = ask(t, "GET", named.URL+"/nuget/nuget/v3/index.json", nil, "X-Forwarded-Host", host, "X-Forwarded-Proto", "https")
		require.Contains(t, text, `"`+named.URL+"/nuget/", host)
	}
}

// TestUncleanPaths: a client is led to the path that it meant, with its escapes as they
// were, and a path names nothing in metrics.
func TestUncleanPaths(t *testing.T) {
	t.Parallel()
	server := newWorld(t).start(t, "a", webOnly)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for from, to := range map[string]string{"/npm/npm//@a%2fb": "/npm/npm/@a%2fb", "//npm/x/../npm/@a%2Fb/?a=%20b": "/npm/npm/@a%2Fb/?a=%20b", "//evil.example/%2f..": "/evil.example/%2f..",
		"/invented/../npm/npm/x": "/npm/npm/x", "/%ff/../npm/npm/x": "/npm/npm/x", "/..": "/", "/nuget/nuget/.": "/nuget/nuget"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+from, nil)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err, from)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, []any{http.StatusTemporaryRedirect, to}, []any{resp.StatusCode, resp.Header.Get("Location")}, from)
	}
	_, text := ask(t, "GET", server.URL+"/metrics", nil)
	require.NotContains(t, text, "invented")
}

// TestHiddenFeeds: whether a feed exists, and of which type, is for those to know who
// may view it, or all.
func TestHiddenFeeds(t *testing.T) {
	t.Parallel()
	server := newWorld(t).start(t, "a", webOnly)
	sendForm(t, server.URL+"/administration/user/revoke?subject=anonymous", "feed=")
	for _, path := range []string{"/nuget/nuget/v3/index.json", "/nuget/none/v3/index.json", "/upack/nuget/packages", "/upack/none/packages", "/api/packages/nuget/deleted", "/api/packages/none/deleted"} {
		resp, _ := ask(t, "GET", server.URL+path, nil)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, path)
	}
	for _, path := range []string{"/api/packages/%s/delete?name=a&version=1", "/nuget/%s/api/v2/package"} { // for which other permissions are needed
		_, hidden := ask(t, "POST", server.URL+fmt.Sprintf(path, "nuget"), nil)
		_, none := ask(t, "POST", server.URL+fmt.Sprintf(path, "none"), nil)
		require.Equal(t, none, hidden, path)
	}
	resp, _ := ask(t, "GET", server.URL+"/nuget/none/v3/index.json", nil, "X-ApiKey", administrator)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

// TestRefusals: what cannot be accepted gets a 4xx with a sentence, leaves no
// object behind, and the node stays healthy.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.start(t, "a", func(c *node.Config) { c.MaxUpload = 1 << 20 })
	root := server.URL
	push := root + "/nuget/nuget/api/v2/package"
	good := testenv.Nupkg(t, "Acme.Lib", "1.0.0")
	for name, c := range map[string]struct {
		url    string
		body   []byte
		key    string
		status int
	}{
		"no key":         {push, good, "", http.StatusUnauthorized},
		"wrong key":      {push, good, "wrong", http.StatusUnauthorized},
		"no zip":         {push, []byte("junk"), apiKey, http.StatusBadRequest},
		"no id":          {push, archive(t, "a.nuspec", `<package><metadata><version>1.0</version></metadata></package>`), apiKey, http.StatusBadRequest},
		"dots":           {push, testenv.Nupkg(t, "..", "1.0.0"), apiKey, http.StatusBadRequest},
		"bomb":           {push, archive(t, "a.nuspec", strings.Repeat(" ", 64<<20)), apiKey, http.StatusBadRequest},
		"too large":      {push, bytes.Repeat([]byte("x"), 2<<20), apiKey, http.StatusRequestEntityTooLarge},
		"no feed":        {root + "/nuget/other/api/v2/package", good, apiKey, http.StatusNotFound},
		"another type":   {root + "/upack/nuget/upload", good, apiKey, http.StatusNotFound},
		"not a upack":    {root + "/upack/universal/upload", good, apiKey, http.StatusBadRequest},
		"other than URL": {root + "/upack/universal/upload/a/2.0.0", archive(t, "upack.json", `{"name":"a","version":"1.0.0"}`), apiKey, http.StatusBadRequest},
	} {
		resp, text := ask(t, "PUT", c.url, c.body, "X-NuGet-ApiKey", c.key)
		require.Equal(t, c.status, resp.StatusCode, "%s: %s", name, text)
		require.Greater(t, len(text), 20, "%s: a sentence, not %q", name, text)
	}
	declared := dial(t, server, fmt.Sprintf("PUT /nuget/nuget/api/v2/package HTTP/1.1\r\nHost: a\r\nX-NuGet-ApiKey: %s\r\nContent-Length: %d\r\n\r\n", apiKey, int64(1)<<50))
	resp, err := http.ReadResponse(bufio.NewReader(declared), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode, "before any of it has come")
	require.Zero(t, w.files(t), "nothing is left behind")
	resp, _ = ask(t, "GET", root+"/health/ready", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestOnePackagePerPush: of a form with several files, none is kept.
func TestOnePackagePerPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.start(t, "a", webOnly).URL
	upack := func(name string) []byte {
		return archive(t, "upack.json", `{"name":"`+name+`","version":"1.0.0"}`)
	}
	for url, files := range map[string][][]byte{
		root + "/nuget/nuget/api/v2/package": {testenv.Nupkg(t, "Acme.One", "1.0.0"), testenv.Nupkg(t, "Acme.Two", "1.0.0")},
		root + "/upack/universal/upload":     {upack("one"), upack("two")},
	} {
		body, contentType := form(t, files...)
		resp, text := ask(t, "PUT", url, body, "X-ApiKey", apiKey, "Content-Type", contentType)
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
		require.Contains(t, text, "One push carries one package")
		body, contentType = form(t, files[0])
		resp, text = ask(t, "PUT", url, body, "X-ApiKey", apiKey, "Content-Type", contentType)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	}
	require.Equal(t, 2, w.files(t))
}

// form makes a multipart body out of files.
func form(t testing.TB, files ...[]byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i, file := range files {
		part, err := m.CreateFormFile("package", fmt.Sprintf("%d.package", i))
		require.NoError(t, err)
		_, err = part.Write(file)
		require.NoError(t, err)
	}
	require.NoError(t, m.Close())
	return b.Bytes(), m.FormDataContentType()
}

// TestCutOffPush: a client that goes away in the middle leaves nothing behind,
// whether it hangs up in order or is cut off.
func TestCutOffPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := w.start(t, "a").Listener.Addr().String()
	for _, linger := range []int{-1, 0} { // 0: the connection is reset
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "PUT /upack/universal/upload HTTP/1.1\r\nHost: feeds\r\nX-ApiKey: %s\r\nContent-Length: 4000000\r\n\r\n%s",
			apiKey, strings.Repeat("x", 1<<20))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return w.files(t) > 0 }, waitLong, waitShort, "the upload began")
		require.NoError(t, conn.(*net.TCPConn).SetLinger(linger))
		require.NoError(t, conn.Close())
		require.Eventually(t, func() bool { return w.files(t) == 0 }, waitLong, waitShort, "nothing is left")
	}
}

func TestUniversal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a").URL+"/upack/universal", w.start(t, "b").URL+"/upack/universal"
	file := archive(t, "upack.json", `{"group":"Acme/Tools","name":"Hdars","version":"1.2.3","title":"A tool"}`, "package/bin/run.txt", "content", "other.txt", "meta")
	resp, text := ask(t, "PUT", a+"/upload", file, "X-ApiKey", apiKey, "Content-Type", "application/x-www-form-urlencoded") // as curl says
	require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	resp, _ = ask(t, "POST", b, file, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusConflict, resp.StatusCode)

	resp, text = ask(t, "GET", b+"/download/acme/tools/hdars/1.2.3", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, string(file), text)
	resp, _ = ask(t, "GET", b+"/download/acme/tools/hdars", nil)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	_, text = ask(t, "GET", b+"/download/acme/tools/hdars?latest&contentOnly=zip", nil)
	z, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
	require.NoError(t, err)
	require.Len(t, z.File, 1)
	require.Equal(t, "bin/run.txt", z.File[0].Name)
	_, text = ask(t, "GET", b+"/download-file/acme/tools/hdars/1.2.3?path=package/bin/run.txt", nil)
	require.Equal(t, "content", text)
	_, text = ask(t, "GET", b+"/packages", nil)
	require.Contains(t, text, `"latestVersion":"1.2.3"`)
	require.True(t, strings.HasPrefix(text, "["))
	_, text = ask(t, "GET", b+"/versions?group=acme/tools&name=hdars&version=1.2.3&includeFileList=true", nil)
	require.Contains(t, text, `"name":"package/bin/run.txt"`)
	require.Contains(t, text, `"sha1":"`)
	_, text = ask(t, "GET", b+"/search?query=hdars", nil)
	require.Contains(t, text, "Hdars")
	resp, _ = ask(t, "DELETE", a+"/delete/Acme/Tools/Hdars/1.2.3", nil, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	resp, _ = ask(t, "GET", b+"/download/acme/tools/hdars/1.2.3", nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

// TestBuildMetadata: two builds of a version are one version, shown as its
// author spells it.
func TestBuildMetadata(t *testing.T) {
	t.Parallel()
	base := newWorld(t).start(t, "a").URL + "/upack/universal"
	build := func(metadata string) []byte {
		return archive(t, "upack.json", `{"name":"a","version":"1.0.0+`+metadata+`"}`)
	}
	resp, text := ask(t, "PUT", base+"/upload", build("First"), "X-ApiKey", apiKey)
	require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	resp, text = ask(t, "PUT", base+"/upload", build("second"), "X-ApiKey", apiKey)
	require.Equal(t, http.StatusConflict, resp.StatusCode, text)
	for _, path := range []string{"/download/a/1.0.0%2BFirst", "/download/a/1.0.0", "/download/a?latest"} {
		resp, text = ask(t, "GET", base+path, nil)
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
		require.Equal(t, string(build("First")), text)
	}
	_, text = ask(t, "GET", base+"/versions?name=a", nil)
	require.Contains(t, text, `"version":"1.0.0+First"`)
}

// TestForeignNode: a node with another key, or other storage, says so, takes no
// traffic, and no package or other change from those who ask it nevertheless.
func TestForeignNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = w.start(t, "a")
	other := newWorld(t)
	keys, err := auth.ParseKeyring("ffffffffffffffffffffffffffffffff")
	require.NoError(t, err)
	wrongKey := w.start(t, "wrong-key", func(c *node.Config) { c.Keys = keys })
	wrongStorage := w.start(t, "wrong-storage", func(c *node.Config) { c.Blobs = other.blobs })
	for server, reason := range map[*httptest.Server]string{wrongKey: "encryption key", wrongStorage: "storage"} {
		resp, text := ask(t, "GET", server.URL+"/health/ready", nil)
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		require.Contains(t, text, reason)
		resp, text = ask(t, "PUT", server.URL+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, "Acme.Lib", "1.0.0"), "X-NuGet-ApiKey", apiKey)
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, "what it took would be lost")
		require.Contains(t, text, reason)
		resp, text = ask(t, "POST", server.URL+"/administration/create-feed", []byte("name=made&type=nuget"), "Content-Type", formType, "X-ApiKey", apiKey)
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, text)
		require.Contains(t, text, reason)
	}
	require.Zero(t, other.files(t))
	require.Zero(t, w.files(t))
}

// TestForeignNodeDoesNothing: a node that does not belong neither leads nor
// works jobs, even if it is the only one.
func TestForeignNodeDoesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = w.start(t, "web", func(c *node.Config) { c.Roles = []string{node.RoleWeb} })
	foreign := w.start(t, "foreign", func(c *node.Config) { c.Blobs = newWorld(t).blobs })
	primary := func(server *httptest.Server) string {
		_, text := ask(t, "GET", server.URL+"/metrics", nil)
		return text
	}
	require.Contains(t, primary(foreign), "proget_primary 0")
	own := w.start(t, "own")
	require.Eventually(t, func() bool { return strings.Contains(primary(own), "proget_primary 1") }, waitLong, waitShort)
	require.Contains(t, primary(foreign), "proget_primary 0")
}

// TestIntegrity: the check of stored files names the versions that suffer, and
// passes over bytes that no version needs any longer.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log testenv.LogBuffer
	url := w.start(t, "a", func(c *node.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }).URL
	push := func(name string) {
		resp, text := ask(t, "PUT", url+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, name, "1.0.0"), "X-NuGet-ApiKey", apiKey)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	}
	push("Acme.Gone")
	resp, _ := ask(t, "DELETE", url+"/api/packages/nuget/delete?name=Acme.Gone&version=1.0.0", nil, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	w.damage(t)
	push("Acme.Damaged")
	w.damage(t)
	push("Acme.Sound")

	store, err := sqlite.Open(t.Context(), w.database, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	require.NoError(t, store.Tx(t.Context(), func(tx *db.Tx) error {
		return tx.Enqueue(t.Context(), db.NewJob{Kind: upkeep.KindIntegrity})
	}))
	var job proget.JobStatus
	require.Eventually(t, func() bool {
		jobs, err := store.ListJobs(t.Context(), 0, 1)
		require.NoError(t, err)
		job = jobs[0]
		return !job.Finished.IsZero()
	}, waitLong, waitShort)
	require.Equal(t, proget.JobFailed, job.State)
	require.Contains(t, job.Message, "stored files missing or damaged: 1 of 2")
	require.Contains(t, log.String(), "nuget/Acme.Damaged 1.0.0")
	require.NotContains(t, log.String(), "nuget/Acme.Gone 1.0.0")
	require.NotContains(t, log.String(), "nuget/Acme.Sound 1.0.0")
}

// damage cuts all files short that are stored.
func (w *world) damage(t *testing.T) {
	t.Helper()
	for o, err := range w.blobs.List(t.Context(), storage.BlobPrefix) {
		require.NoError(t, err)
		require.NoError(t, os.Truncate(filepath.Join(w.folder, filepath.FromSlash(o.Key)), 7))
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	url := newWorld(t).start(t, "a").URL
	_, text := ask(t, "GET", url+"/health", nil)
	require.Contains(t, text, `"databaseStatus":"OK"`)
	_, text = ask(t, "GET", url+"/health", nil, "Accept", "text/plain")
	require.Equal(t, "OK\n", text)
	_, text = ask(t, "GET", url+"/metrics", nil)
	require.Contains(t, text, "proget_ready 1")
}
