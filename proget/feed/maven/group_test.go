package maven_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/maven"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

// counting counts the packages that a handler loads, or looks at for the first time.
type counting struct {
	*catalog.Catalog
	loads int
}

func (c *counting) Package(ctx context.Context, f *proget.Feed, nameKey string) (*feed.Package, error) {
	c.loads++
	return c.Catalog.Package(ctx, f, nameKey)
}

func (c *counting) Fact(ctx context.Context, f *proget.Feed, nameKey string, derive func(*feed.Package) any) (any, error) {
	return c.Catalog.Fact(ctx, f, nameKey, func(p *feed.Package) any { c.loads++; return derive(p) })
}

// TestLargeGroup: the metadata of an artifact whose folder is that of a large group, too,
// does not load the group each time.
func TestLargeGroup(t *testing.T) {
	t.Parallel()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	blobs, err := storage.Open(t.Context(), "mem:", nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = blobs.Close() })
	types, f := []feed.Type{maven.New()}, &proget.Feed{Name: "maven", Type: "maven", Active: true}
	require.NoError(t, store.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), f) }))
	packages := &counting{Catalog: catalog.New(store, types, nil)}
	publisher := publish.New(store, storage.NewSet(blobs, nil), types, nil)
	handler := types[0].Handler(feed.Services{Packages: packages})
	put := func(name string, jar string) {
		_, err := publisher.Publish(t.Context(), feed.Upload{Feed: f, Name: file(name, "1.0", ".jar"), Body: strings.NewReader(jar)})
		require.NoError(t, err)
		packages.Applied(f.ID, []proget.Entry{{PackageKey: name}})
	}
	loads := func(path string) int {
		before := packages.loads
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		require.NoError(t, handler.ServeFeed(w, &feed.Request{Request: r, Feed: f, Path: path}))
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Body.String(), "<prefix>")
		return packages.loads - before
	}
	const artifacts = 20
	for n := range artifacts - 1 {
		put(fmt.Sprintf("com.acme.platform:lib%d", n), string(pack(t)))
	}
	put("com.acme.platform:x-maven-plugin", pluginJar(t, "com.acme.platform", "x-maven-plugin", "x"))
	put("com.acme:platform", string(pack(t)))
	for _, want := range []int{1 + artifacts, 1, 1} {
		require.Equal(t, want, loads("com/acme/platform/maven-metadata.xml"))
	}
	put("com.acme.platform:new", string(pack(t)))
	require.Equal(t, 2, loads("com/acme/platform/maven-metadata.xml"), "the artifact, and what is new in the group")
}
