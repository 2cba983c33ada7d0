package storage

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// fetches records what a ranges reader asks for.
type fetches struct {
	content []byte
	lengths []int
	err     error
}

func (f *fetches) fetch(p []byte, offset int64) (int, error) {
	f.lengths = append(f.lengths, len(p))
	if f.err != nil {
		return 0, f.err
	}
	return copy(p, f.content[offset:]), nil
}

func newRanges(size int) (*ranges, *fetches) {
	f := &fetches{content: bytes.Repeat([]byte("0123456789abcdef"), size/16)}
	return &ranges{size: int64(size), fetch: f.fetch}, f
}

func TestWindowGrowsStraightOn(t *testing.T) {
	t.Parallel()
	r, f := newRanges(4 << 20)
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.size))
	require.NoError(t, err)
	require.True(t, bytes.Equal(f.content, got))
	const k = 1 << 10
	require.Equal(t, []int{64 * k, 128 * k, 256 * k, 512 * k, 1024 * k, 1024 * k, 1024 * k, 64 * k}, f.lengths)
	require.LessOrEqual(t, cap(r.buffer), maxWindow)
}

func TestWindowAfterJump(t *testing.T) {
	t.Parallel()
	r, f := newRanges(4 << 20)
	p := make([]byte, 16)
	for _, offset := range []int64{r.size - 16, 1 << 20, 1<<20 + 16, 1<<20 + 65000, 0} {
		_, err := r.ReadAt(p, offset)
		require.NoError(t, err)
		require.Equal(t, f.content[offset:offset+16], p)
	}
	require.Equal(t, []int{16, minWindow, minWindow}, f.lengths)
}

func TestLargeReadsBypassWindow(t *testing.T) {
	t.Parallel()
	r, f := newRanges(4 << 20)
	p := make([]byte, 3<<20)
	n, err := r.ReadAt(p, 2<<20)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 2<<20, n)
	require.Equal(t, []int{2 << 20}, f.lengths)
	require.Nil(t, r.buffer)
}

// TestWindowAfterError: the window of before is not taken for what failed.
func TestWindowAfterError(t *testing.T) {
	t.Parallel()
	r, f := newRanges(1 << 20)
	p := make([]byte, 16)
	_, err := r.ReadAt(p, 0)
	require.NoError(t, err)
	f.err = errors.New("broken")
	_, err = r.ReadAt(p, 500_000)
	require.ErrorIs(t, err, f.err)
	f.err = nil
	_, err = r.ReadAt(p, 1)
	require.NoError(t, err)
	require.Equal(t, f.content[1:17], p)
}
