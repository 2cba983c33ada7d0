package dbtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// testSpaceAtTheEnd: a key that ends in a space is not the one without it, even to an
// engine that compares them so.
func testSpaceAtTheEnd(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "one", version(1))
	require.NoError(t, err)
	_, err = s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	_, err = s.LoadPackage(ctx, id, "acme.lib ")
	require.ErrorIs(t, err, proget.ErrNotFound)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		v, err := tx.FindVersion(ctx, id, "acme.lib", "1.0.1")
		require.NoError(t, err)
		require.NoError(t, tx.SetTag(ctx, v.PackageID, "new", v.ID))
		for name, version := range map[string]string{"acme.lib ": "1.0.1", "acme.lib": "1.0.1 "} {
			_, err := tx.FindVersion(ctx, id, name, version)
			require.ErrorIs(t, err, proget.ErrNotFound)
		}
		there, err := tx.HasPackage(ctx, id, "acme.lib ")
		require.NoError(t, err)
		require.False(t, there)
		require.ErrorIs(t, tx.DeleteTag(ctx, id, "acme.lib ", "new"), proget.ErrNotFound)
		require.ErrorIs(t, tx.DeleteTag(ctx, id, "acme.lib", "new "), proget.ErrNotFound)
		return tx.DeleteTag(ctx, id, "acme.lib", "new")
	}))
}
