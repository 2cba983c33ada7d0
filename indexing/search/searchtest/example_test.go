package searchtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/indexing/search/searchtest"
)

// An index's test makes a place for each case, and opens the index there as
// often as the case wants.
func Example() {
	_ = func(t *testing.T) {
		searchtest.Run(t, func(t *testing.T) searchtest.Open {
			dir := t.TempDir()
			return func(t *testing.T) search.Index {
				x, err := bleve.Open(dir)
				require.NoError(t, err)
				return x
			}
		})
	}
}
