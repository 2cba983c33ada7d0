package feed_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
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

// TestDocumentIsRenderedOnce: those who ask for a document while it is being rendered
// wait for it; but who waited for one that failed renders it for themselves.
func TestDocumentIsRenderedOnce(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"rendered": nil, "failed": errors.New("its client left")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var docs feed.Documents
				var renderings atomic.Int32
				var all sync.WaitGroup
				finish := make(chan struct{})
				render := func() ([]byte, error) {
					if renderings.Add(1) > 1 {
						return []byte("text"), nil
					}
					<-finish
					return []byte("text"), failure
				}
				var failed atomic.Int32
				for range 4 {
					all.Go(func() {
						d, err := docs.Document("key", "text/plain", render)
						if err != nil {
							failed.Add(1)
						} else {
							assert.NotNil(t, d)
						}
					})
				}
				synctest.Wait()
				close(finish)
				all.Wait()
				if failure == nil {
					require.EqualValues(t, 1, renderings.Load())
					require.Zero(t, failed.Load())
					return
				}
				require.EqualValues(t, 1, failed.Load(), "who rendered it")
			})
		})
	}
}
