package dbtest

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
)

// testSignIns: every failure counts, through whichever node it comes; a success
// ends the count, and what has expired is as if it had never been.
func testSignIns(t *testing.T, open Open) {
	a, b, ctx := open(t), open(t), t.Context()
	const nodes, each = 4, 5
	var all sync.WaitGroup
	for n := range nodes {
		s := []*db.Store{a, b}[n%2]
		all.Go(func() {
			for range each {
				require.NoError(t, s.CountSignInFailure(ctx, "account 1", time.Hour))
			}
		})
	}
	all.Wait()
	require.NoError(t, b.CountSignInFailure(ctx, "gone", 0))
	found, err := b.FindSignIns(ctx, "account 1", "client 2", "gone")
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.EqualValues(t, nodes*each, found["account 1"].Failures)
	require.Less(t, found["account 1"].Age, time.Minute)
	require.GreaterOrEqual(t, found["account 1"].Age, time.Duration(0))

	require.NoError(t, a.CountSignInFailure(ctx, "gone", time.Hour), "the count begins anew")
	require.NoError(t, a.ResetSignIn(ctx, "account 1", time.Hour))
	require.NoError(t, a.ResetSignIn(ctx, "client 2", 0))
	require.NoError(t, a.Tx(ctx, func(tx *db.Tx) error { return tx.DeleteExpiredSignIns(ctx) }))
	found, err = b.FindSignIns(ctx, "account 1", "client 2", "gone")
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Zero(t, found["account 1"].Failures)
	require.EqualValues(t, 1, found["gone"].Failures)
}
