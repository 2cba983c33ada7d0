package oci

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzManifest: whatever is taken for a manifest names only digests, and is the
// same in a second reading.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), "")
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`), dockerManifest)
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		m, err := decode(body, contentType)
		if err != nil {
			return
		}
		for _, d := range m.descriptors() {
			_, err := readDigest(d.Digest.String())
			require.NoError(t, err)
		}
		again, err := decode(body, m.MediaType)
		require.NoError(t, err)
		require.Equal(t, m.data(), again.data())
	})
}

// FuzzRoute: a path is read without fail, and what is a valid name stays within
// its bounds.
func FuzzRoute(f *testing.F) {
	for _, path := range []string{"a/b/manifests/latest", "a/blobs/uploads/", "a/blobs/sha256%3Aabc", "a/tags/list", "%zz", "//"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		rt := parse(http.MethodGet, path)
		if rt.action != unknown && checkName(rt.repo) == nil {
			require.NotContains(t, rt.repo, "..")
			require.LessOrEqual(t, len(rt.repo), maxName)
		}
	})
}
