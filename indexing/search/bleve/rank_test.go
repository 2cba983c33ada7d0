package bleve

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
)

// TestRankIsTheBestOfAll: pages are those of all documents in order of their scores, each
// found by itself, wherever they lie and however many are alike.
func TestRankIsTheBestOfAll(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	x, err := Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	fill(t, x, random)
	for _, text := range []string{"alpha", "alpha beta", "gamma", "beta gamma alpha", "alpha.beta", "gammx", "betaa alpha", "nothing"} {
		for _, skip := range []int{0, 7, 90, 3 * few} {
			for _, prefix := range []string{"", "alpha"} {
				q := search.Query{FeedID: 1 + int64(random.IntN(2)), Text: text, NamePrefix: prefix, Skip: skip, Take: 1 + random.IntN(60), Prerelease: true}
				hits, err := x.Search(t.Context(), q)
				require.NoError(t, err)
				require.Equal(t, all(t, x, q), hits, "%+v", q)
			}
		}
	}
}

// fill indexes packages of few words in two feeds, in several segments, and deletes some.
func fill(t *testing.T, x *Index, random *rand.Rand) {
	words := []string{"Alpha", "Beta", "Gamma"}
	pick := func() string { return words[random.IntN(len(words))] }
	positions := map[int64]int64{}
	for range 2 {
		for feed := int64(1); feed <= 2; feed++ {
			var changes []search.Change
			for n := range 5 * few / 2 {
				name := fmt.Sprintf("%s.%s.N%d", pick(), pick(), random.IntN(100*few))
				d := &search.Document{Key: strings.ToLower(name), Name: name, Description: pick() + " " + pick(), Stable: true,
					Downloads: int64(random.IntN(1 << (random.IntN(12) * int(feed))))}
				if n == 0 {
					d.Key, d.Name = "alpha.beta", "Alpha.Beta"
				}
				changes = append(changes, search.Change{Key: d.Key, Document: d})
				if random.IntN(10) == 0 {
					changes = append(changes, search.Change{Key: d.Key})
				}
			}
			at := positions[feed]
			require.NoError(t, x.Update(t.Context(), feed, changes, at, at+1, ""))
			positions[feed]++
		}
	}
}

// all answers a query by scoring every document that matches.
func all(t *testing.T, x *Index, q search.Query) (hits search.Hits) {
	var found best
	require.NoError(t, x.use(func(text bleve.Index) error {
		snapshot, err := snapshot(text)
		require.NoError(t, err)
		defer snapshot.Close()
		prefix := feedPrefix(q.FeedID)
		parts, err := begin(snapshot, prefix, q)
		require.NoError(t, err)
		require.NoError(t, x.finder.findText(t.Context(), parts, prefix, q.Text))
		for _, p := range parts {
			standing, err := p.standing()
			require.NoError(t, err)
			whole, err := p.docs(wholeField, prefix+wholeText(q.Text))
			require.NoError(t, err)
			for _, doc := range p.matching.ToArray() {
				id, err := p.DocID(uint64(doc))
				require.NoError(t, err)
				key := id[len(prefix):]
				if q.NamePrefix == "" || beginsWith(key, q.NamePrefix) {
					found = append(found, scored{naive(p, doc, whole) + standing.of[doc], slices.Clone(key)})
				}
			}
		}
		return nil
	}))
	slices.SortFunc(found, func(a, b scored) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	hits.Total = len(found)
	for _, s := range found[min(q.Skip, len(found)):min(q.Skip+q.Take, len(found))] {
		hits.Keys = append(hits.Keys, string(s.key))
	}
	return hits
}

// naive returns what the words of a query add to a document's score.
func naive(p *part, doc uint32, whole *roaring.Bitmap) (score float32) {
	if whole.Contains(doc) {
		score += wholeName
	}
	for _, f := range p.found {
		score += f[slices.IndexFunc(f, func(at place) bool { return at.docs.Contains(doc) })].value()
	}
	return score
}
