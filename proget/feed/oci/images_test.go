package oci_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed/feedtest"
)

// TestManyLayers: an image of more layers than are read with their repository is
// refused, whether or not they are there.
func TestManyLayers(t *testing.T) {
	t.Parallel()
	r := start(t)
	blobs := []string{"{}"}
	for n := range 1000 {
		blobs = append(blobs, fmt.Sprint("layer ", n))
	}
	a := r.do(http.StatusBadRequest, http.MethodPut, "app/manifests/1", string(image("", blobs...)), "Content-Type", imageType)
	require.Equal(t, "MANIFEST_INVALID", code(t, a))
	require.Contains(t, string(a.Body), "1001 layers")
	a = r.do(http.StatusBadRequest, http.MethodPut, "app/manifests/1", string(image("", blobs[:1000]...)), "Content-Type", imageType)
	require.Equal(t, "MANIFEST_BLOB_UNKNOWN", code(t, a))
	twice := append([]string{"{}"}, "one", "one")
	r.push("app", "{}")
	r.push("app", "one")
	r.do(http.StatusCreated, http.MethodPut, "app/manifests/1", string(image("", twice...)), "Content-Type", imageType)
}

// TestForeignLayers: a foreign layer need not be there; one that was pushed is the
// image's like any other, and lives as long as that.
func TestForeignLayers(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.push("app", "{}")
	r.push("app", "pushed")
	foreign := func(manifest, blob string) string {
		named := fmt.Sprintf(`","digest":%q`, digest.FromString(blob))
		return strings.Replace(manifest, "application/octet-stream"+named, "application/vnd.oci.image.layer.nondistributable.v1.tar"+named, 1)
	}
	manifest := foreign(string(image("", "{}", "pushed", "elsewhere")), "pushed")
	put := func(status int, manifest string) feedtest.Answer {
		return r.do(status, http.MethodPut, "app/manifests/1", manifest, "Content-Type", imageType)
	}
	require.Equal(t, "MANIFEST_BLOB_UNKNOWN", code(t, put(http.StatusBadRequest, manifest)))
	put(http.StatusCreated, foreign(manifest, "elsewhere"))
	for blob, status := range map[string]int{"pushed": http.StatusMethodNotAllowed, "elsewhere": http.StatusNotFound} {
		r.do(status, http.MethodDelete, "app/blobs/"+digest.FromString(blob).String(), "")
	}
}

// TestLostBlob: the error for a blob that storage has lost is not what clients keep for
// ever under the blob's digest.
func TestLostBlob(t *testing.T) {
	t.Parallel()
	r := start(t)
	blob := strings.Repeat("a layer", 100_000) // small ones stay in memory
	r.push("app", blob)
	r.LoseFiles(t)
	a := r.do(http.StatusServiceUnavailable, http.MethodGet, "app/blobs/"+digest.FromString(blob).String(), "")
	require.Empty(t, a.Header.Get("Cache-Control"))
	require.Empty(t, a.Header.Get("Docker-Content-Digest"))
	require.Equal(t, "registry/2.0", a.Header.Get("Docker-Distribution-Api-Version"))
}

// TestDeletedMeanwhile: a client that was told that a layer is there does not push it; its
// manifest is accepted although the last one with that layer was deleted since. Other
// repositories gain nothing by that.
func TestDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	r := start(t)
	put := func(status int, repo, manifest string) feedtest.Answer {
		return r.do(status, http.MethodPut, repo+"/manifests/1", manifest, "Content-Type", imageType)
	}
	r.push("app", "{}")
	r.push("app", "layer")
	r.push("other", "{}")
	first, second := string(image("", "{}", "layer")), string(image(`,"annotations":{}`, "{}", "layer"))
	layer := "app/blobs/" + digest.FromString("layer").String()
	put(http.StatusCreated, "app", first)
	r.do(http.StatusOK, http.MethodHead, layer, "")
	remove := func(manifest string) {
		r.do(http.StatusAccepted, http.MethodDelete, "app/manifests/"+digest.FromString(manifest).String(), "")
	}
	remove(first)
	r.do(http.StatusAccepted, http.MethodDelete, layer, "") // as when its push is more than a day ago
	require.Equal(t, "MANIFEST_BLOB_UNKNOWN", code(t, put(http.StatusBadRequest, "other", second)))
	put(http.StatusCreated, "app", second)
	require.Equal(t, "layer", string(r.do(http.StatusOK, http.MethodGet, layer, "").Body))
}

// block blocks or allows the manifest by the native API.
func (r registry) block(manifest string, allow bool) {
	r.t.Helper()
	var all []struct{ PURL, SHA256 string }
	a := r.do(http.StatusOK, http.MethodGet, r.URL+"/api/packages/docker/versions", "")
	require.NoError(r.t, json.Unmarshal(a.Body, &all))
	for _, v := range all {
		if v.SHA256 == digest.FromString(manifest).Encoded() {
			r.do(http.StatusOK, http.MethodPost, r.URL+"/api/packages/docker/status?purl="+url.QueryEscape(v.PURL), fmt.Sprintf(`{"allow":%t}`, allow), "X-ApiKey", r.Key)
			return
		}
	}
	require.Fail(r.t, "the native API does not list the manifest")
}

// TestBlockedImage: what only a blocked image has cannot be pulled or mounted, although
// it was just pushed; a new image may have it.
func TestBlockedImage(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.push("app", "{}")
	r.push("app", "layer")
	subject := digest.FromString("subject")
	bad := string(image(fmt.Sprintf(`,"subject":{"mediaType":%q,"size":5,"digest":%q}`, imageType, subject), "{}", "layer"))
	put := func(tag, manifest string) {
		t.Helper()
		r.do(http.StatusCreated, http.MethodPut, "app/manifests/"+tag, manifest, "Content-Type", imageType)
	}
	put("bad", bad)
	put("good", string(image("", "{}")))
	layer := "app/blobs/" + digest.FromString("layer").String()
	lists := func() string {
		return string(r.do(http.StatusOK, http.MethodGet, "app/tags/list", "").Body) + string(r.do(http.StatusOK, http.MethodGet, "app/referrers/"+subject.String(), "").Body)
	}
	before := lists()
	require.Contains(t, before, `["bad","good"]`)
	require.Contains(t, before, digest.FromString(bad).String())

	r.block(bad, false)
	require.Equal(t, "DENIED", code(t, r.do(http.StatusForbidden, http.MethodGet, layer, "")))
	r.do(http.StatusOK, http.MethodGet, "app/blobs/"+digest.FromString("{}").String(), "") // another image has it
	r.do(http.StatusAccepted, http.MethodPost, "other/blobs/uploads/?from=docker/app&mount="+digest.FromString("layer").String(), "")
	require.Contains(t, lists(), `["good"]`)
	require.NotContains(t, lists(), digest.FromString(bad).String())

	r.do(http.StatusOK, http.MethodHead, layer, "")
	put("new", string(image("", "{}", "layer")))
	require.Equal(t, "layer", string(r.do(http.StatusOK, http.MethodGet, layer, "").Body))
	r.do(http.StatusAccepted, http.MethodDelete, "app/manifests/new", "")
	r.block(bad, true)
	require.Equal(t, before, lists())
}

// TestFinishAfterChunk: a server took the last chunk with the request that finishes the
// upload, and was killed before it finished that: the repeated request succeeds.
func TestFinishAfterChunk(t *testing.T) {
	t.Parallel()
	r := start(t)
	d := digest.FromString("first last").String()
	for _, header := range [][]string{nil, {"Content-Range", "6-9"}} {
		at := r.do(http.StatusAccepted, http.MethodPost, "app/blobs/uploads/", "").Header.Get("Location")
		for _, chunk := range []string{"first ", "last"} {
			at = r.do(http.StatusAccepted, http.MethodPatch, at, chunk).Header.Get("Location")
		}
		require.Equal(t, "DIGEST_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPut, at+"?digest="+digest.FromString("x").String(), "")))
		r.do(http.StatusCreated, http.MethodPut, at+"?digest="+d, "last", header...)
		require.Equal(t, "first last", string(r.do(http.StatusOK, http.MethodGet, "app/blobs/"+d, "").Body))
		r.do(http.StatusNotFound, http.MethodGet, at, "")
	}
}

// TestNoName: the code is about what the request is about.
func TestNoName(t *testing.T) {
	t.Parallel()
	r := start(t)
	require.Equal(t, "NAME_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodGet, r.URL+"/v2/_catalog?last=docker/%ff", "")))
	require.Equal(t, "MANIFEST_INVALID", code(t, r.do(http.StatusBadRequest, http.MethodPut, "app/manifests/1", "\xff", "Content-Type", indexType)))
}
