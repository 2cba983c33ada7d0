package catalog_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/feed"
)

// TestLargePackages: packages that are larger than the memory drive out neither the
// others nor each other, and the log names each once.
func TestLargePackages(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	var log bytes.Buffer
	s, ctx := in.server(t, &catalog.Options{MaxBytes: 20_000, Logger: slog.New(slog.NewTextHandler(&log, nil))}), t.Context()
	names := []string{"large1", "a", "b", "large2"}
	for _, name := range names {
		versions := 1
		if strings.HasPrefix(name, "large") {
			versions = 20
		}
		for n := range versions {
			_, err := in.publish(ctx, fmt.Sprintf("%s@%d", name, n))
			require.NoError(t, err)
		}
	}
	first := make(map[string]*feed.Package)
	for range 3 {
		for _, name := range names {
			p, err := s.read(ctx, name)
			require.NoError(t, err)
			if strings.HasPrefix(name, "large") {
				require.Greater(t, p.Bytes(), int64(20_000))
				_, err := p.Document("whole", "text/plain", func() ([]byte, error) { return make([]byte, 9000), nil })
				require.NoError(t, err)
			}
			if first[name] == nil {
				first[name] = p
			}
			require.True(t, first[name] == p, "%s was loaded again", name)
		}
	}
	s.Applied(in.feed.ID, []proget.Entry{{PackageKey: "large1"}})
	again, err := s.read(ctx, "large1")
	require.NoError(t, err)
	require.False(t, first["large1"] == again)
	require.Equal(t, 2, strings.Count(log.String(), "set -cache"), log.String())
	for _, name := range []string{"large1", "large2"} {
		require.Contains(t, log.String(), "feed=Main package="+name)
	}
}

// TestManyLargePackages: they are not all kept.
func TestManyLargePackages(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, &catalog.Options{MaxBytes: 6000, Logger: dark}), t.Context()
	const packages = 6
	for n := range packages {
		for version := range 3 {
			_, err := in.publish(ctx, fmt.Sprintf("p%d@%d", n, version))
			require.NoError(t, err)
		}
		_, err := s.Package(ctx, in.feed, fmt.Sprint("p", n))
		require.NoError(t, err)
	}
	require.NoError(t, s.store.Close())
	var kept []int
	for n := range packages {
		if _, err := s.Package(ctx, in.feed, fmt.Sprint("p", n)); err == nil {
			kept = append(kept, n)
		}
	}
	require.Equal(t, []int{4, 5}, kept)
}

// TestLargeDocuments: a package's documents drive out no other packages.
func TestLargeDocuments(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, &catalog.Options{MaxBytes: 20_000}), t.Context()
	for _, name := range []string{"a@1", "b@1"} {
		_, err := in.publish(ctx, name)
		require.NoError(t, err)
	}
	a, err := s.read(ctx, "a")
	require.NoError(t, err)
	b, err := s.read(ctx, "b")
	require.NoError(t, err)
	for n := range 30 {
		_, err := b.Document(fmt.Sprint(n), "text/plain", func() ([]byte, error) { return make([]byte, 9000), nil })
		require.NoError(t, err)
		require.LessOrEqual(t, b.Documents.Bytes(), int64(10_000), "one of them at least")
	}
	again, err := s.read(ctx, "a")
	require.NoError(t, err)
	require.True(t, a == again, "it was loaded again")
}
