package variant

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBroken: what the faults are put in place of is in the source.
func TestBroken(t *testing.T) {
	t.Parallel()
	root, err := Root(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, Broken)
	for name, edits := range Broken {
		_, err := write(root, t.TempDir(), edits)
		require.NoError(t, err, name)
	}
}
