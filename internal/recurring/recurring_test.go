package recurring

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFailure: it is logged at first, changed, and after a time, and counted.
func TestFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		var f Failure
		fail := func(n int, err error) {
			for range n {
				f.Warn(t.Context(), log, "failed", err)
				time.Sleep(2 * time.Second)
			}
		}
		require.Zero(t, f.End())
		fail(10, errors.New("full"))
		require.Equal(t, 1, strings.Count(text.String(), "\n"), text.String())
		require.NotContains(t, text.String(), "times")
		fail(1, errors.New("away"))
		require.Contains(t, text.String(), `times=11 error=away`)
		fail(160, errors.New("away"))
		require.Equal(t, 3, strings.Count(text.String(), "\n"), text.String())
		require.Equal(t, 171, f.End())
		fail(1, errors.New("away"))
		require.Equal(t, 4, strings.Count(text.String(), "\n"), "it begins anew")
	})
}
