package feed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestLatest: an older version that satisfies an earlier condition comes before a newer
// one that satisfies a later.
func TestLatest(t *testing.T) {
	t.Parallel()
	listed := proget.Status{Listed: true}
	stable, prerelease, unlisted := &proget.Version{Key: "1", Status: listed}, &proget.Version{Key: "2", Status: listed, Prerelease: true}, &proget.Version{Key: "3"}
	p := &feed.Package{Package: &proget.Package{Versions: []*proget.Version{stable, prerelease, unlisted}}}
	require.Same(t, stable, p.Latest(feed.Stable, feed.Listed, feed.Any))
	require.Same(t, prerelease, p.Latest(feed.Listed, feed.Any))
	require.Same(t, unlisted, p.Latest(feed.Any))
	p.Versions = p.Versions[1:]
	require.Same(t, prerelease, p.Latest(feed.Stable, feed.Listed, feed.Any))
	require.Nil(t, p.Latest(feed.Stable))
}
