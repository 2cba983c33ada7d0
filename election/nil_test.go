package election_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/static"
)

// TestNothingGiven: what is missing is said where it is given, not in a goroutine later.
func TestNothingGiven(t *testing.T) {
	t.Parallel()
	_, err := election.New(nil, "office", "a", nil)
	require.ErrorContains(t, err, "a driver")
	_, err = election.NewBeacon(nil, "")
	require.ErrorContains(t, err, "a listener")
	e, err := election.New(static.New(), "office", "a", nil)
	require.NoError(t, err)
	require.ErrorContains(t, e.Run(t.Context(), nil), "nothing to do")
}
