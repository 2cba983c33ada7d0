package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// uses is a read path with one package, which notes what is said to be in use, and
// what is counted.
type uses struct {
	feed.Packages
	feed.Files
	pkg  *feed.Package
	seen map[string]int // downloads by version
}

func (u *uses) Package(context.Context, *proget.Feed, string) (*feed.Package, error) {
	return u.pkg, nil
}
func (u *uses) Use(v *proget.Version)   { u.seen[v.Key] += 0 }
func (u *uses) Count(v *proget.Version) { u.seen[v.Key]++ }

// TestUse: to look whether an image has changed is to use it, and no download.
func TestUse(t *testing.T) {
	t.Parallel()
	m, err := decode(fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q}}`, digest.FromString("config")), "")
	require.NoError(t, err)
	text, err := json.Marshal(m.data())
	require.NoError(t, err)
	v := &proget.Version{Key: digest.FromBytes(m.body).String(), Manifest: text, Files: []proget.File{{Size: int64(len(m.body))}}}
	pkg := &feed.Package{Package: &proget.Package{Versions: []*proget.Version{v}, Tags: map[string]string{"latest": v.Key}}}
	for method, downloads := range map[string]int{http.MethodHead: 0, http.MethodGet: 1} {
		u := &uses{pkg: pkg, seen: make(map[string]int)}
		h := &handler{feed.Services{Packages: u, Files: u}}
		r := &feed.Request{Request: httptest.NewRequest(method, "/v2/docker/app/manifests/latest", nil), Path: "app/manifests/latest", Feed: &proget.Feed{Name: "docker"}}
		require.NoError(t, h.ServeFeed(httptest.NewRecorder(), r))
		require.Equal(t, map[string]int{v.Key: downloads}, u.seen)
	}
}
