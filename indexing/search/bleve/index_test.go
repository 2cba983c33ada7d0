package bleve_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/indexing/search/searchtest"
)

func open(t testing.TB, dir string) *bleve.Index {
	t.Helper()
	x, err := bleve.Open(dir)
	require.NoError(t, err)
	return x
}

func TestConformance(t *testing.T) {
	t.Parallel()
	searchtest.Run(t, func(t *testing.T) searchtest.Open {
		dir := t.TempDir()
		return func(t *testing.T) search.Index { return open(t, dir) }
	})
}
