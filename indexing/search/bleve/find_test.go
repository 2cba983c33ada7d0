package bleve

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRest: an automaton for what follows the first bytes accepts what one for the whole
// word does.
func TestRest(t *testing.T) {
	t.Parallel()
	f, err := newFinder()
	require.NoError(t, err)
	const start = "12/x"
	matched := 0
	for range 300 {
		word, typed := random(), random()
		whole, err := f.automaton(start+word, len(word))
		require.NoError(t, err)
		part, err := f.automaton(word, len(word))
		require.NoError(t, err)
		r := rest{part, len(start)}
		state := r.Start()
		for _, b := range []byte(start + typed) {
			require.True(t, r.CanMatch(state) || !r.IsMatch(state))
			state = r.Accept(state, b)
		}
		want, _ := whole.MatchAndDistance(start + typed)
		require.Equal(t, want, r.IsMatch(state), "%s for %s", typed, word)
		if want {
			matched++
		}
	}
	require.Positive(t, matched)
}

// random returns a word of few letters, so that two are often alike.
func random() string {
	b := make([]byte, 3+rand.IntN(8))
	for i := range b {
		b[i] = 'a' + byte(rand.IntN(2))
	}
	return string(b)
}
