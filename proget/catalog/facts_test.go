package catalog_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/feed"
)

// TestFacts: what is derived of packages stays in memory until they change, and the
// packages that were read for it drive out no others.
func TestFacts(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, &catalog.Options{MaxBytes: 10_000}), t.Context()
	derived := 0
	versions := func(name string) int {
		t.Helper()
		require.NoError(t, s.tail.Sync(ctx))
		n, err := s.Fact(ctx, in.feed, name, func(p *feed.Package) any { derived++; return len(p.Versions) })
		require.NoError(t, err)
		return n.(int)
	}
	const packages = 20 // which need twice that memory
	for n := range packages {
		_, err := in.publish(ctx, fmt.Sprintf("p%02d@1", n))
		require.NoError(t, err)
	}
	asked, err := s.read(ctx, "p00")
	require.NoError(t, err)
	for range 2 {
		for n := range packages {
			require.Equal(t, 1, versions(fmt.Sprintf("p%02d", n)))
		}
	}
	require.Equal(t, packages, derived, "once of each")
	again, err := s.read(ctx, "p00")
	require.NoError(t, err)
	require.Same(t, asked, again, "it was not driven out")

	_, err = in.publish(ctx, "p01@2")
	require.NoError(t, err)
	require.Equal(t, 2, versions("p01"))
	require.Equal(t, 1, versions("p02"))
	require.Equal(t, packages+1, derived)
	s.Applied(in.feed.ID, nil)
	require.Equal(t, 1, versions("p02"))
	require.Equal(t, packages+2, derived, "a feed was forgotten")
	require.NoError(t, in.publisher.Delete(ctx, feed.Ref{Feed: in.feed, NameKey: "p02", VersionKey: "1"}, proget.Principal{}))
	require.NoError(t, s.tail.Sync(ctx))
	_, err = s.Fact(ctx, in.feed, "p02", nil)
	require.ErrorIs(t, err, proget.ErrNotFound)

	names, err := s.Names(ctx, in.feed, "", 500)
	require.NoError(t, err)
	require.Len(t, names, packages-1)
	require.NoError(t, s.store.Close())
	kept, err := s.Names(ctx, in.feed, "", 500)
	require.NoError(t, err, "the names that they are asked by stay in memory, too")
	require.Equal(t, names, kept)
}

// TestFactsDuringAChange: what is derived while the package changes is not kept.
func TestFactsDuringAChange(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, nil), t.Context()
	_, err := in.publish(ctx, "a@1")
	require.NoError(t, err)
	require.NoError(t, s.tail.Sync(ctx))
	for want := 1; want <= 2; want++ {
		n, err := s.Fact(ctx, in.feed, "a", func(p *feed.Package) any {
			if len(p.Versions) == 1 {
				_, err := in.publish(ctx, "a@2")
				require.NoError(t, err)
				require.NoError(t, s.tail.Sync(ctx))
			}
			return len(p.Versions)
		})
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
}
