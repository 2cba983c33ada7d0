package bleve

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
)

// TestTable: each shelf's list is what a plain one would be, whether it was loaded or
// entered one by one.
func TestTable(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	documents := make(map[string]*search.Document)
	entered := make(table)
	for range 2000 {
		key := fmt.Sprintf("%c%d", "abcAB"[random.IntN(5)], random.IntN(400))
		documents[key] = &search.Document{Key: key, Stable: random.IntN(3) > 0, Modern: random.IntN(3) == 0, ModernStable: random.IntN(5) == 0}
		if random.IntN(4) == 0 {
			documents[key] = nil
		}
		entered.set(1, key, documents[key])
	}
	var lists [shelves][]string
	for key, d := range documents {
		for n := range shelves {
			if d != nil && d.Visible(n&1 != 0, n&2 != 0) {
				lists[n] = append(lists[n], key)
			}
		}
	}
	given := lists
	for n := range given {
		given[n] = slices.Clone(given[n])
		slices.SortFunc(lists[n], func(a, b string) int {
			return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
		})
	}
	loaded := make(table)
	loaded.load(1, &given)
	for n, list := range lists {
		for _, prefix := range []string{"", "a", "b1", "B", "c39", "d"} {
			var want []string
			for _, key := range list {
				if strings.HasPrefix(strings.ToLower(key), strings.ToLower(prefix)) {
					want = append(want, key)
				}
			}
			for _, skip := range []int{0, 1, 7, 100, 5000} {
				q := search.Query{FeedID: 1, NamePrefix: prefix, Prerelease: n&1 != 0, Old: n&2 != 0, Skip: skip, Take: 20}
				from := min(skip, len(want))
				for _, tab := range []table{entered, loaded} {
					hits := tab.page(q)
					require.Equal(t, len(want), hits.Total, q)
					require.Equal(t, append([]string{}, want[from:min(from+20, len(want))]...), append([]string{}, hits.Keys...), q)
				}
			}
		}
	}
	require.Equal(t, lists[allShelf], loaded.keys(1))
	require.Zero(t, loaded.page(search.Query{FeedID: 2, Take: 20}))
}
