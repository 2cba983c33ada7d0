//go:build unix

package node_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkCatalog is how quickly NuGet's catalog of a feed is built from what
// the feed holds, and how long it takes to add one version to it.
func BenchmarkCatalog(b *testing.B) {
	const versions = 4000
	l, err := openLeader(b.Context(), b.TempDir(), "one")
	require.NoError(b, err)
	defer func() { require.NoError(b, l.close()) }()
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	for n := range versions {
		publish(b, server.URL, fmt.Sprint("Acme.Lib", n/10), fmt.Sprintf("1.%d.0", n%10))
	}
	for b.Loop() { // once: the second time there is nothing to do
		require.NoError(b, l.lead(b.Context(), "index catalog", "one"))
	}
	b.ReportMetric(versions/b.Elapsed().Seconds(), "versions/s")
}
