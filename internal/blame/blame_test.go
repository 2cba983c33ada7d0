package blame_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/blame"
)

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestReaderAt(t *testing.T) {
	t.Parallel()
	whole := &blame.ReaderAt{ReaderAt: strings.NewReader("text")}
	n, err := whole.ReadAt(make([]byte, 9), 0)
	require.Equal(t, 4, n)
	require.Equal(t, io.EOF, err)
	require.NoError(t, whole.Err(), "an end is no failure")
	for _, broken := range []error{errors.New("the disk is broken"), io.ErrUnexpectedEOF, fmt.Errorf("get: %w", io.EOF)} {
		r := &blame.ReaderAt{ReaderAt: failing{broken}}
		_, err := r.ReadAt(make([]byte, 9), 0)
		require.Equal(t, broken, err)
		require.Equal(t, broken, r.Err())
	}
}
