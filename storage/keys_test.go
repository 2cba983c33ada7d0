package storage

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeysPassTheirCheck(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		key := newBlobKey()
		require.NoError(t, checkKey(key))
		require.False(t, seen[key])
		seen[key] = true
	}
	for _, node := range []string{"", "web-1", "Web 1", "nul", "../..", "ü☺", strings.Repeat("x", 1000)} {
		require.NoError(t, checkKey(newProbeKey(node)))
	}
}
