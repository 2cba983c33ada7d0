package node_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/node"
)

// TestLife: a node runs once at a time, is ready for as long, and is not closed under
// its work.
func TestLife(t *testing.T) {
	t.Parallel()
	n, err := node.New(t.Context(), newWorld(t).config(t, "a"))
	require.NoError(t, err)
	server := httptest.NewServer(n.Handler())
	t.Cleanup(server.Close)
	ready := func() (int, string) {
		answer, text := ask(t, http.MethodGet, server.URL+"/health/ready", nil)
		return answer.StatusCode, text
	}
	status, text := ready()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, "Node.Run")
	answer, text := ask(t, http.MethodGet, server.URL+"/health", nil, "Accept", "text/plain")
	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	require.Contains(t, text, "Node.Run")

	for range 2 { // it may run again
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		require.Eventually(t, n.Running, waitLong, waitShort)
		status, text = ready()
		require.Equal(t, http.StatusOK, status, text)
		require.ErrorContains(t, n.Run(t.Context()), "runs already")
		require.ErrorContains(t, n.Close(), "still runs")
		require.True(t, n.Running(), "neither has ended the work")
		cancel()
		require.NoError(t, <-done)
		status, text = ready()
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, text, "Node.Run")
	}
	require.NoError(t, n.Close())
	require.NoError(t, n.Close(), "there is nothing to close any more")
	require.ErrorContains(t, n.Run(t.Context()), "closed")
}
