package feed_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestGate: who finds no place waits for one, but not for as long as it may be kept.
func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := make(feed.Gate, 1)
		enter := func() error { return g.Enter(t.Context(), "lists") }
		require.NoError(t, enter())
		began := time.Now()
		require.ErrorIs(t, enter(), proget.ErrUnavailable)
		require.Equal(t, 10*time.Second, time.Since(began))
		waiting := make(chan error)
		go func() { waiting <- enter() }()
		synctest.Wait()
		g.Leave()
		require.NoError(t, <-waiting)
		require.ErrorIs(t, enter(), proget.ErrUnavailable)
	})
}
