package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
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

// TestUse: to look whether an image has changed is to use it, with all that it lists,
// and no download.
func TestUse(t *testing.T) {
	t.Parallel()
	version := func(body string) *proget.Version {
		m, err := decode([]byte(body), "")
		require.NoError(t, err)
		text, err := json.Marshal(m.data())
		require.NoError(t, err)
		return &proget.Version{Key: digest.FromString(body).String(), Manifest: text, Files: []proget.File{{Size: int64(len(body))}}}
	}
	image := func(name string) *proget.Version {
		return version(fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q}}`, digest.FromString(name)))
	}
	one, other := image("one"), image("other")
	index := version(fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"digest":%q},{"digest":%q}]}`, one.Key, digest.FromString("a blob")))
	pkg := &feed.Package{Package: &proget.Package{Versions: []*proget.Version{one, other, index}, Tags: map[string]string{"latest": index.Key}}}
	for method, downloads := range map[string]int{http.MethodHead: 0, http.MethodGet: 1} {
		u := &uses{pkg: pkg, seen: make(map[string]int)}
		h := &handler{feed.Services{Packages: u, Files: u}}
		r := &feed.Request{Request: httptest.NewRequest(method, "/v2/docker/app/manifests/latest", nil), Path: "app/manifests/latest", Feed: &proget.Feed{Name: "docker"}}
		require.NoError(t, h.ServeFeed(httptest.NewRecorder(), r))
		require.ElementsMatch(t, []string{one.Key, index.Key}, slices.Collect(maps.Keys(u.seen)))
		require.Equal(t, downloads, u.seen[index.Key])
	}
}
