package oci_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed/feedtest"
	"github.com/proget-go/ha/proget/feed/oci"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// index is a manifest that needs no blob, and differs by what it says.
func index(says string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"org.opencontainers.image.title":%q}}`, indexType, says)
}

// image is a manifest of blobs, the first of which is its config.
func image(more string, blobs ...string) []byte {
	var all []string
	for _, b := range blobs {
		all = append(all, fmt.Sprintf(`{"mediaType":"application/octet-stream","digest":%q,"size":%d}`, digest.FromString(b), len(b)))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, imageType, all[0], strings.Join(all[1:], ","), more)
}

func put(t testing.TB, base, name, reference string, manifest []byte, contentType string) *http.Request {
	return feedtest.Request(t, http.MethodPut, base+"/"+name+"/manifests/"+reference, manifest, "Content-Type", contentType)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	feedtest.Run(t, feedtest.Suite{
		Type: oci.New(), Repeatable: true, Name: "acme/app", Three: [3]string{"1.2.3", "1.10", "latest"},
		Push: func(t testing.TB, base, name, version string) (*http.Request, []byte) {
			body := index(name + version)
			return put(t, base, name, version, body, indexType), body
		},
		SignIn:    func(r *http.Request, key string) { r.SetBasicAuth("api", key) },
		Documents: func(base, name string) []string { return []string{base + "/" + name + "/tags/list"} },
		Download:  func(base, name, version string) string { return base + "/" + name + "/manifests/" + version },
		Names: [][2]string{{"a", "_"}, {"a/b/c/d/e", "1.0-rc.1"}, {"blobs/manifests/tags/list", "list"}, {"a--b__c.d_e", "A"}, {"0", "0"},
			{"uploads", strings.Repeat("t", 128)}, {strings.Repeat("n", 200), "1"}},
		Refused: refused,
	})
}

func refused(t testing.TB, base string) map[string]*http.Request {
	const name = "acme/app"
	raw := func(text string) *http.Request { return put(t, base, name, "1", []byte(text), indexType) }
	plain := func(text string) *http.Request { return put(t, base, name, "1", []byte(text), "") }
	at := func(name, reference string) *http.Request {
		return put(t, base, name, reference, index("x"), indexType)
	}
	whole := string(index("x"))
	return map[string]*http.Request{
		"empty":                  raw(""),
		"no JSON":                raw("junk"),
		"a list":                 raw("[]"),
		"cut off":                raw(whole[:len(whole)/2]),
		"something after it":     raw(whole + "{}"),
		"deep":                   raw(`{"a":` + strings.Repeat("[", 100000)),
		"not UTF-8":              raw(strings.Replace(whole, "x", "\xff", 1)),
		"schema 1":               plain(`{"schemaVersion":1,"name":"acme/app","tag":"1","fsLayers":[]}`),
		"no schema":              plain(`{}`),
		"another type":           put(t, base, name, "1", index("x"), imageType),
		"an unknown type":        put(t, base, name, "1", []byte(`{"schemaVersion":2}`), "text/html"),
		"an image and an index":  plain(strings.Replace(string(image("", "{}")), `"config"`, `"manifests":[],"config"`, 1)),
		"an index with a config": plain(strings.Replace(whole, `"manifests"`, `"config":{},"manifests"`, 1)),
		"no config":              put(t, base, name, "1", []byte(`{"schemaVersion":2,"layers":[]}`), imageType),
		"no digest":              plain(`{"schemaVersion":2,"manifests":[{"digest":"sha256:abc"}]}`),
		"a path for a digest":    plain(`{"schemaVersion":2,"manifests":[{"digest":"../../etc"}]}`),
		"an unknown digest":      plain(`{"schemaVersion":2,"manifests":[{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e"}]}`),
		"a negative size":        plain(`{"schemaVersion":2,"subject":{"size":-1,"digest":"` + digest.FromString("").String() + `"},"manifests":[]}`),
		"a blob that is not":     put(t, base, name, "1", image("", "{}"), imageType),
		"a manifest that is not": plain(`{"schemaVersion":2,"manifests":[{"size":2,"digest":"` + digest.FromString("{}").String() + `"}]}`),
		"too large":              raw(strings.Repeat(" ", 4<<20) + whole),
		"upper case":             at("Acme/App", "1"),
		"no name":                feedtest.Request(t, http.MethodPut, base+"/manifests/1", index("x")),
		"a long name":            at(strings.Repeat("n", 201), "1"),
		"dots for a name":        at("%2e%2e/app", "1"),
		"a slash in a segment":   at("a%2F", "1"),
		"no tag":                 at(name, "%20"),
		"a tag with a dot first": at(name, ".1"),
		"a long tag":             at(name, strings.Repeat("t", 129)),
		"a tag with a line":      at(name, "a%0d%0aX:%20y"),
		"another's digest":       at(name, digest.FromString("").String()),
		"half a digest":          at(name, "sha256:abc"),
		"a tag beside":           at(name, digest.FromBytes(index("x")).String()+"?tag=.bad"),
		"many tags":              at(name, digest.FromBytes(index("x")).String()+"?tag=a"+strings.Repeat("&tag=a", 40)),
		"an unknown upload":      feedtest.Request(t, http.MethodPatch, base+"/"+name+"/blobs/uploads/none", []byte("x")),
		"an upload's end":        feedtest.Request(t, http.MethodPut, base+"/"+name+"/blobs/uploads/none?digest="+digest.FromString("x").String(), []byte("x")),
		"no digest at the end":   feedtest.Request(t, http.MethodPut, base+"/"+name+"/blobs/uploads/none", []byte("x")),
		"a wrong digest":         feedtest.Request(t, http.MethodPost, base+"/"+name+"/blobs/uploads/?digest="+digest.FromString("y").String(), nil),
		"an unknown algorithm":   feedtest.Request(t, http.MethodPost, base+"/"+name+"/blobs/uploads/?digest-algorithm=md5", nil),
		"a method":               feedtest.Request(t, http.MethodPost, base+"/"+name+"/manifests/1", index("x")),
		"another method":         feedtest.Request(t, http.MethodDelete, base+"/"+name+"/manifests/1", nil),
		"nothing there":          feedtest.Request(t, http.MethodGet, base+"/"+name, nil),
		"a page of letters":      feedtest.Request(t, http.MethodGet, base+"/"+name+"/tags/list?n=x", nil),
		"no referrers":           feedtest.Request(t, http.MethodGet, base+"/"+name+"/referrers/latest", nil),
	}
}

// A registry is a cluster with one feed, and a key for it.
type registry struct {
	*feedtest.Cluster
	t testing.TB
}

func start(t testing.TB) registry { return registry{feedtest.Start(t, oci.New()), t} }

// do sends a request with the key, which is to be answered with a status.
func (r registry) do(status int, method, address string, body string, header ...string) feedtest.Answer {
	r.t.Helper()
	if !strings.Contains(address, "://") {
		address = r.Feed + "/" + address
	}
	req := feedtest.Request(r.t, method, address, []byte(body), header...)
	req.SetBasicAuth("api", r.Key)
	a := feedtest.Do(r.t, req)
	require.Equal(r.t, status, a.StatusCode, "%s %s: %s", method, address, a.Body)
	return a
}

// push pushes a blob with one request.
func (r registry) push(repo, blob string) {
	r.t.Helper()
	d := digest.FromString(blob)
	a := r.do(http.StatusCreated, http.MethodPost, repo+"/blobs/uploads/?digest="+d.String(), blob)
	require.Equal(r.t, r.Feed+"/"+repo+"/blobs/"+d.String(), a.Header.Get("Location"))
}

func code(t testing.TB, a feedtest.Answer) string {
	t.Helper()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	require.NoError(t, json.Unmarshal(a.Body, &body), string(a.Body))
	require.Len(t, body.Errors, 1)
	require.NotEmpty(t, body.Errors[0].Message)
	return body.Errors[0].Code
}

// TestChunks: each chunk of an upload reaches another node; one that is not the
// next is told which is.
func TestChunks(t *testing.T) {
	t.Parallel()
	r := start(t)
	at := r.do(http.StatusAccepted, http.MethodPost, "app/blobs/uploads/", "").Header.Get("Location")
	whole := ""
	require.Equal(t, "0-0", r.do(http.StatusNoContent, http.MethodGet, at, "").Header.Get("Range"))
	for n := range 7 {
		chunk := strings.Repeat(fmt.Sprint(n), 10+n)
		span := fmt.Sprintf("%d-%d", len(whole), len(whole)+len(chunk)-1)
		a := r.do(http.StatusAccepted, http.MethodPatch, at, chunk, "Content-Range", span)
		whole += chunk
		require.Equal(t, fmt.Sprintf("0-%d", len(whole)-1), a.Header.Get("Range"))
		again := r.do(http.StatusRequestedRangeNotSatisfiable, http.MethodPatch, at, chunk, "Content-Range", span)
		for _, header := range []string{"Range", "Location"} {
			require.Equal(t, a.Header.Get(header), again.Header.Get(header))
		}
		at = a.Header.Get("Location")
	}
	require.Equal(t, fmt.Sprintf("0-%d", len(whole)-1), r.do(http.StatusNoContent, http.MethodGet, at, "").Header.Get("Range"))
	require.Equal(t, "SIZE_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPatch, at, "abc", "Content-Range", "91-99")))
	require.Equal(t, "BLOB_UPLOAD_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPatch, at, "abc", "Content-Range", "x")))
	require.Equal(t, "DIGEST_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPut, at+"?digest="+digest.FromString("other").String(), "")))
	d := digest.FromString(whole + "end").String()
	for range 2 { // the first answer may have been lost
		r.do(http.StatusCreated, http.MethodPut, at+"?digest="+d, "end", "Content-Range", fmt.Sprintf("%d-%d", len(whole), len(whole)+2))
	}
	require.Equal(t, whole+"end", string(r.do(http.StatusOK, http.MethodGet, "app/blobs/"+d, "").Body))
	require.Equal(t, "BLOB_UPLOAD_UNKNOWN", code(t, r.do(http.StatusNotFound, http.MethodGet, at, "")))

	at = r.do(http.StatusAccepted, http.MethodPost, "app/blobs/uploads/", "").Header.Get("Location")
	begun := r.do(http.StatusAccepted, http.MethodPatch, at, "abc").Header.Get("Location")
	r.do(http.StatusNoContent, http.MethodDelete, begun, "")
	r.do(http.StatusNotFound, http.MethodDelete, begun, "")
	r.do(http.StatusNoContent, http.MethodDelete, at, "") // what has not begun is nowhere
}

// TestOneRequest: a blob that comes whole, at another node than was told of it, needs
// nothing else; the address is the repository's.
func TestOneRequest(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, blob := range []string{"a layer", ""} {
		at := r.do(http.StatusAccepted, http.MethodPost, "app/blobs/uploads/", "").Header.Get("Location")
		d := digest.FromString(blob).String()
		elsewhere := strings.Replace(at, "/app/", "/other/", 1) + "?digest=" + d
		require.Equal(t, "BLOB_UPLOAD_UNKNOWN", code(t, r.do(http.StatusNotFound, http.MethodPut, elsewhere, blob)))
		require.Equal(t, "DIGEST_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPut, at+"?digest="+d, "another")))
		for range 2 { // the first answer may have been lost
			r.do(http.StatusCreated, http.MethodPut, at+"?digest="+d, blob)
		}
		require.Equal(t, blob, string(r.do(http.StatusOK, http.MethodGet, "app/blobs/"+d, "").Body))
	}
	at := r.do(http.StatusAccepted, http.MethodPost, "app/blobs/uploads/", "").Header.Get("Location")
	require.Equal(t, "BLOB_UPLOAD_UNKNOWN", code(t, r.do(http.StatusNotFound, http.MethodPut, at+"?digest="+digest.FromString("never sent").String(), "")))
	r.do(http.StatusCreated, http.MethodPut, at+"?digest="+digest.FromString("a layer").String(), "") // it is there
}

// TestFinishAgain: a finish whose upload is gone succeeds if it brings nothing, or what
// the blob ends with.
func TestFinishAgain(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.push("app", "a layer")
	at := "app/blobs/uploads/gone?digest=" + digest.FromString("a layer").String()
	for _, body := range []string{"", "a layer", "layer"} {
		r.do(http.StatusCreated, http.MethodPut, at, body)
	}
	r.do(http.StatusCreated, http.MethodPut, at, "layer", "Content-Range", "2-6")
	for _, body := range []string{"a lawyer", "lay", "a layer and more", "b layer", "x"} {
		require.Equal(t, "DIGEST_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPut, at, body)), body)
	}
	require.Equal(t, "DIGEST_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPut, at, "layer", "Content-Range", "1-5")))
	require.Equal(t, "DIGEST_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPut, at, "layer", "Content-Range", "9223372036854775803-9223372036854775807")))
	for body, status := range map[string]int{"": http.StatusCreated, "a layer": http.StatusCreated, "layers": http.StatusBadRequest} {
		chunked := feedtest.Request(t, http.MethodPut, r.Feed+"/"+at, nil, "X-ApiKey", r.Key)
		chunked.Body, chunked.ContentLength = io.NopCloser(strings.NewReader(body)), -1
		require.Equal(t, status, feedtest.Do(t, chunked).StatusCode, body)
	}
}

// TestRepositories: a blob is seen where it was pushed or mounted, and goes with
// the last manifest that names it.
func TestRepositories(t *testing.T) {
	t.Parallel()
	r := start(t)
	const config, layer = "{}", "a layer"
	r.push("app", config)
	r.push("app", layer)
	manifest := string(image("", config, layer, layer))
	blob := "/blobs/" + digest.FromString(layer).String()
	require.Equal(t, "BLOB_UNKNOWN", code(t, r.do(http.StatusNotFound, http.MethodGet, "other"+blob, "")))
	require.Equal(t, "MANIFEST_BLOB_UNKNOWN", code(t, r.do(http.StatusBadRequest, http.MethodPut, "other/manifests/1", manifest, "Content-Type", imageType)))
	require.Equal(t, "NAME_UNKNOWN", code(t, r.do(http.StatusNotFound, http.MethodGet, "app/manifests/1", "")))
	r.do(http.StatusCreated, http.MethodPut, "app/manifests/1", manifest, "Content-Type", imageType)
	require.Equal(t, "MANIFEST_UNKNOWN", code(t, r.do(http.StatusNotFound, http.MethodGet, "app/manifests/2", "")))
	short := strings.Replace(manifest, `"size":7`, `"size":8`, 2)
	require.Equal(t, "MANIFEST_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPut, "app/manifests/2", short, "Content-Type", imageType)))
	require.Equal(t, "UNSUPPORTED", code(t, r.do(http.StatusMethodNotAllowed, http.MethodDelete, "app"+blob, "")))

	mount := func(status int, from string) {
		r.do(status, http.MethodPost, "other/blobs/uploads/?from="+url.QueryEscape(from)+"&mount="+digest.FromString(layer).String(), "")
	}
	mount(http.StatusAccepted, "docker/none")
	mount(http.StatusAccepted, "elsewhere/app")
	r.do(http.StatusNotFound, http.MethodHead, "other"+blob, "")
	mount(http.StatusCreated, "docker/app")
	require.Equal(t, layer, string(r.do(http.StatusOK, http.MethodGet, "other"+blob, "").Body))
	r.do(http.StatusAccepted, http.MethodDelete, "other"+blob, "")
	r.do(http.StatusNotFound, http.MethodHead, "other"+blob, "")

	require.Equal(t, layer[2:], string(r.do(http.StatusPartialContent, http.MethodGet, "app"+blob, "", "Range", "bytes=2-").Body))
	r.do(http.StatusAccepted, http.MethodDelete, "app/manifests/1", "")
	require.Equal(t, "MANIFEST_UNKNOWN", code(t, r.do(http.StatusNotFound, http.MethodGet, "app/manifests/1", "")))
	d := digest.FromString(manifest).String()
	require.Equal(t, imageType, r.do(http.StatusOK, http.MethodGet, "app/manifests/"+d, "").Header.Get("Content-Type"))
	r.do(http.StatusAccepted, http.MethodDelete, "app/manifests/"+d, "")
	r.do(http.StatusNotFound, http.MethodGet, "app/manifests/"+d, "")
	r.do(http.StatusOK, http.MethodHead, "app"+blob, "") // as it was before: another manifest may follow
	r.do(http.StatusCreated, http.MethodPut, "app/manifests/1", manifest, "Content-Type", imageType)
}

// TestIndexOfBlobs: an index may list blobs, as BuildKit's caches do, and keeps them.
func TestIndexOfBlobs(t *testing.T) {
	t.Parallel()
	r := start(t)
	index := func(layers ...string) string {
		var all []string
		for _, layer := range layers {
			all = append(all, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"%s","size":%d}`, digest.FromString(layer), len(layer)))
		}
		return `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[` + strings.Join(all, ",") + `]}`
	}
	put := func(status int, body string) feedtest.Answer {
		return r.do(status, http.MethodPut, "cache/manifests/main", body, "Content-Type", indexType)
	}
	r.push("cache", "one")
	require.Equal(t, "MANIFEST_BLOB_UNKNOWN", code(t, put(http.StatusBadRequest, index("one", "two"))))
	r.push("cache", "two")
	put(http.StatusCreated, index("one", "two", "one"))
	r.push("cache", "three")
	put(http.StatusCreated, index("two", "three"))
	for _, layer := range []string{"one", "two", "three"} {
		blob := "cache/blobs/" + digest.FromString(layer).String()
		require.Equal(t, layer, string(r.do(http.StatusOK, http.MethodGet, blob, "").Body))
		require.Equal(t, "UNSUPPORTED", code(t, r.do(http.StatusMethodNotAllowed, http.MethodDelete, blob, "")), "an index names it")
	}
}

// TestPages: long lists come in pages.
func TestPages(t *testing.T) {
	t.Parallel()
	r := start(t)
	for n := range 5 {
		r.do(http.StatusCreated, http.MethodPut, fmt.Sprintf("r%d/manifests/%s", n, digest.FromBytes(index("x"))), string(index("x")), "Content-Type", indexType)
	}
	a := r.do(http.StatusCreated, http.MethodPut, "r0/manifests/"+digest.FromBytes(index("x")).String()+"?tag=a&tag=c&tag=B", string(index("x")))
	require.Equal(t, "a, c, B", a.Header.Get("OCI-Tag"))
	require.Equal(t, []string{`{"name":"docker/r0","tags":["B","a"]}`, `{"name":"docker/r0","tags":["c"]}`}, r.pages("r0/tags/list?n=2"))
	require.Equal(t, []string{`{"name":"docker/r0","tags":[]}`}, r.pages("r0/tags/list?n=0"))
	require.Equal(t, []string{`{"repositories":["docker/r0","docker/r1"]}`, `{"repositories":["docker/r2","docker/r3"]}`, `{"repositories":["docker/r4"]}`},
		r.pages(r.URL+"/v2/_catalog?n=2"))
}

// pages follows the links of a list.
func (r registry) pages(address string) (bodies []string) {
	r.t.Helper()
	for range 10 {
		a := r.do(http.StatusOK, http.MethodGet, address, "")
		bodies = append(bodies, string(a.Body))
		link := a.Header.Get("Link")
		if link == "" {
			return bodies
		}
		next, rel, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		require.Equal(r.t, `; rel="next"`, rel)
		address = r.URL + next
	}
	r.t.Fatal("the list has no end")
	return nil
}

// TestManyFeeds: the repositories of all feeds are in one order, whatever the feeds
// are called.
func TestManyFeeds(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, name := range []string{"docker-a", "docker.b"} {
		req := feedtest.Request(t, http.MethodPost, r.URL+"/api/management/feeds/create", []byte(`{"name":"`+name+`","feedType":"docker"}`))
		req.SetBasicAuth("Admin", r.Password)
		require.Equal(t, http.StatusOK, feedtest.Do(t, req).StatusCode)
	}
	all := []string{"docker-a/r", "docker.b/r", "docker/r", "docker/s"}
	for _, name := range all {
		r.do(http.StatusCreated, http.MethodPut, r.URL+"/v2/"+name+"/manifests/1", string(index("x")), "Content-Type", indexType)
	}
	var pages []string
	for _, name := range all {
		pages = append(pages, `{"repositories":["`+name+`"]}`)
	}
	require.Equal(t, pages, r.pages(r.URL+"/v2/_catalog?n=1"))
	require.Equal(t, pages[2:], r.pages(r.URL+"/v2/_catalog?n=1&last=docker.zzz"))
}

// TestReferrers: what names a manifest as its subject is listed, before and after
// that is there, with its annotations.
func TestReferrers(t *testing.T) {
	t.Parallel()
	r := start(t)
	subject := digest.FromBytes(index("x")).String()
	require.Contains(t, string(r.do(http.StatusOK, http.MethodGet, "app/referrers/"+subject, "").Body), `"manifests":[]`)
	r.push("app", "{}")
	for _, kind := range []string{"a", "b"} {
		manifest := string(image(`,"artifactType":"application/`+kind+`","annotations":{"k":"`+kind+`"},"subject":{"mediaType":"`+indexType+`","size":5,"digest":"`+subject+`"}`, "{}"))
		a := r.do(http.StatusCreated, http.MethodPut, "app/manifests/"+digest.FromString(manifest).String(), manifest, "Content-Type", imageType)
		require.Equal(t, subject, a.Header.Get("OCI-Subject"))
	}
	a := r.do(http.StatusOK, http.MethodGet, "app/referrers/"+subject, "")
	require.Equal(t, indexType, a.Header.Get("Content-Type"))
	require.Equal(t, 2, strings.Count(string(a.Body), `"digest"`))
	a = r.do(http.StatusOK, http.MethodGet, "app/referrers/"+subject+"?artifactType=application/b", "")
	require.Equal(t, "artifactType", a.Header.Get("OCI-Filters-Applied"))
	require.Contains(t, string(a.Body), `"annotations":{"k":"b"},"artifactType":"application/b"`)
	require.Equal(t, 1, strings.Count(string(a.Body), `"digest"`))
	require.Equal(t, 2, strings.Count(string(r.do(http.StatusOK, http.MethodGet, "app/referrers/"+subject+"?last=sha256:0", "").Body), `"digest"`), "after one that is gone")
	require.Zero(t, strings.Count(string(r.do(http.StatusOK, http.MethodGet, "app/referrers/"+subject+"?last=sha256:g", "").Body), `"digest"`))
}

// TestLargeReferrers: a list of referrers is bounded in bytes; the next page has the
// others.
func TestLargeReferrers(t *testing.T) {
	t.Parallel()
	r := start(t)
	subject := digest.FromBytes(index("x")).String()
	r.push("app", "{}")
	const referrers = 2
	for n := range referrers {
		manifest := string(image(fmt.Sprintf(`,"annotations":{"k":"%d%s"},"subject":{"mediaType":"%s","size":5,"digest":"%s"}`, n, strings.Repeat("k", 600_000), indexType, subject), "{}"))
		r.do(http.StatusCreated, http.MethodPut, "app/manifests/"+digest.FromString(manifest).String(), manifest, "Content-Type", imageType)
	}
	var pages []int
	for path := "app/referrers/" + subject; path != ""; {
		a := r.do(http.StatusOK, http.MethodGet, path, "")
		require.Less(t, len(a.Body), 1<<20)
		pages = append(pages, strings.Count(string(a.Body), `"digest"`))
		_, path, _ = strings.Cut(a.Header.Get("Link"), "/docker/")
		path, _, _ = strings.Cut(path, ">")
	}
	require.Equal(t, []int{1, 1}, pages)
}

// TestTokens: clients are sent to the token service, which gives everybody a
// token that can do what the credentials can.
func TestTokens(t *testing.T) {
	t.Parallel()
	r := start(t)
	a := feedtest.Get(t, r.URL+"/v2/")
	require.Equal(t, http.StatusUnauthorized, a.StatusCode)
	require.Equal(t, "UNAUTHORIZED", code(t, a))
	host := strings.TrimPrefix(r.URL, "http://")
	require.Equal(t, `Bearer realm="`+r.URL+`/v2/_auth",service="`+host+`"`, a.Header.Get("WWW-Authenticate"))
	push := func(token string) feedtest.Answer {
		req := feedtest.Request(t, http.MethodPost, r.Feed+"/acme/app/blobs/uploads/", nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return feedtest.Do(t, req)
	}
	a = push("")
	require.Equal(t, http.StatusUnauthorized, a.StatusCode)
	require.Contains(t, a.Header.Get("WWW-Authenticate"), `,scope="repository:docker/acme/app:pull,push"`)

	token := func(status int, ask func(*http.Request)) string {
		t.Helper()
		req := feedtest.Request(t, http.MethodGet, r.URL+"/v2/_auth?service="+host+"&scope=repository:docker/acme/app:pull,push", nil)
		ask(req)
		a := feedtest.Do(t, req)
		require.Equal(t, status, a.StatusCode, string(a.Body))
		var body struct {
			Token     string
			ExpiresIn int `json:"expires_in"`
		}
		require.NoError(t, json.Unmarshal(a.Body, &body))
		require.Equal(t, status == http.StatusOK, body.ExpiresIn > 60)
		return body.Token
	}
	nobody := token(http.StatusOK, func(*http.Request) {})
	req := feedtest.Request(t, http.MethodGet, r.URL+"/v2/", nil, "Authorization", "Bearer "+nobody)
	require.Equal(t, http.StatusOK, feedtest.Do(t, req).StatusCode)
	require.Equal(t, http.StatusUnauthorized, push(nobody).StatusCode)
	require.Equal(t, http.StatusAccepted, push(token(http.StatusOK, func(r *http.Request) { r.SetBasicAuth("Admin", "correct horse") })).StatusCode)
	require.Equal(t, http.StatusAccepted, push(token(http.StatusOK, func(req *http.Request) { req.SetBasicAuth("api", r.Key) })).StatusCode)
	token(http.StatusUnauthorized, func(r *http.Request) { r.SetBasicAuth("Admin", "wrong") })
	require.Equal(t, http.StatusUnauthorized, push(nobody[:len(nobody)-3]).StatusCode)

	form := url.Values{"grant_type": {"password"}, "username": {"Admin"}, "password": {"correct horse"}, "service": {host}}
	a = feedtest.Do(t, feedtest.Request(t, http.MethodPost, r.URL+"/v2/_auth", []byte(form.Encode()), "Content-Type", "application/x-www-form-urlencoded"))
	require.Equal(t, http.StatusOK, a.StatusCode, string(a.Body))
	var body struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(a.Body, &body))
	require.Equal(t, http.StatusAccepted, push(body.AccessToken).StatusCode)
	form.Set("grant_type", "refresh_token")
	a = feedtest.Do(t, feedtest.Request(t, http.MethodPost, r.URL+"/v2/_auth", []byte(form.Encode()), "Content-Type", "application/x-www-form-urlencoded"))
	require.Equal(t, http.StatusBadRequest, a.StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, feedtest.Do(t, feedtest.Request(t, http.MethodDelete, r.URL+"/v2/_catalog", nil)).StatusCode)
}
