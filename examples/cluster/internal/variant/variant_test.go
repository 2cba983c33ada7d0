package variant

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEdits: what the edits are put in place of is in the source.
func TestEdits(t *testing.T) {
	t.Parallel()
	root, err := Root(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, Broken)
	_, err = write(root, t.TempDir(), Traced)
	require.NoError(t, err)
	for name, edits := range Broken {
		_, err := write(root, t.TempDir(), edits)
		require.NoError(t, err, name)
	}
}
