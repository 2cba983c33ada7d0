package oci

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestFront: a repository is shown by what has a tag, not by what is attached to it.
func TestFront(t *testing.T) {
	t.Parallel()
	p := &feed.Package{Package: &proget.Package{}}
	for _, key := range []string{"old", "platform", "index", "signature", "attestation"} {
		p.Versions = append(p.Versions, &proget.Version{Key: key})
	}
	typ := New()
	require.Same(t, p, typ.Front(p), "nothing has a tag")
	p.Tags = map[string]string{"1.0": "old", "2.0": "index", "latest": "index", "sha256-" + strings.Repeat("0", 64) + ".sig": "signature"}
	front := typ.Front(p)
	require.Equal(t, []*proget.Version{p.Versions[0], p.Versions[2]}, front.Versions)
	require.Len(t, p.Versions, 5, "the package is shared")
}

// TestInstall: a tag is pulled by a colon, a digest by an at sign.
func TestInstall(t *testing.T) {
	t.Parallel()
	f := &proget.Feed{Name: "Images"}
	for version, want := range map[string]string{"1.0": ":1.0", "sha256:0123": "@sha256:0123"} {
		got := New().Install("https://example.com/v2/Images", f, &proget.Version{Name: "team/app", Version: version})
		require.Equal(t, "docker pull example.com/images/team/app"+want, got[0].Command)
	}
}

// TestUsualCodes: what is not there is called by what the path names.
func TestUsualCodes(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]code{"blobs/uploads/": nameUnknown, "blobs/uploads": nameUnknown, "blobs/uploads/id": uploadUnknown,
		"blobs/sha256:00": blobUnknown, "manifests/1": manifestUnknown, "tags/list": nameUnknown} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v2/none/app/"+path, nil)
		require.Equal(t, want, usual(r, http.StatusNotFound), path)
	}
}
