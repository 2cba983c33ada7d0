package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

// withReplica is an engine with a pool for reads that may be old.
type withReplica struct {
	engine
	replica engine
}

func (e withReplica) Open(ctx context.Context) (driver.Pools, error) {
	pools, err := e.engine.Open(ctx)
	if err == nil {
		pools.Replica, err = e.replica.pool("_pragma=query_only(1)", 1)
	}
	return pools, err
}

// TestReplica: what may be old is read from the replica, and from the server
// that writes if the replica fails.
func TestReplica(t *testing.T) {
	t.Parallel()
	open := func(e driver.Driver) *db.Store {
		s, err := db.Open(t.Context(), e, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	primary, replica := engine{filepath.Join(t.TempDir(), "primary.db")}, engine{filepath.Join(t.TempDir(), "replica.db")}
	f := &proget.Feed{Name: "main", Type: "test"}
	require.NoError(t, open(primary).Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), f) }))
	_ = open(replica) // it has not heard of the feed

	old, err := open(withReplica{primary, replica}).ListFeedStats(t.Context())
	require.NoError(t, err)
	require.NotContains(t, old, f.ID)
	gone := engine{filepath.Join(t.TempDir(), "no", "such", "folder.db")}
	now, err := open(withReplica{primary, gone}).ListFeedStats(t.Context())
	require.NoError(t, err)
	require.Contains(t, now, f.ID)
}
