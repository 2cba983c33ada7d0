package cluster

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLags: each minute has its greatest lag, for an hour; minutes without a
// heartbeat have none.
func TestLags(t *testing.T) {
	t.Parallel()
	l := Lags{}.add(100, 5).add(100, 9).add(100, 2)
	require.Equal(t, Lags{100, []int64{9}}, l)
	before := l
	l = l.add(103, 0)
	require.Equal(t, Lags{103, []int64{9, -1, -1, 0}}, l)
	require.Equal(t, Lags{100, []int64{9}}, before)
	require.Equal(t, []int64{-1, 9, -1, 0, -1}, []int64{l.At(99), l.At(100), l.At(101), l.At(103), l.At(104)})
	for minute := int64(104); minute < 300; minute++ {
		l = l.add(minute, minute)
	}
	require.Len(t, l.Peaks, 60)
	require.EqualValues(t, 299, l.At(299))
	require.EqualValues(t, 240, l.At(240))
	require.EqualValues(t, -1, l.At(239))
	require.False(t, slices.Contains(l.Peaks, -1))
	require.Equal(t, Lags{200, []int64{1}}, l.add(200, 1), "the clock was set back")
	require.Equal(t, Lags{999, []int64{1}}, l.add(999, 1), "what was before is more than an hour ago")
}
