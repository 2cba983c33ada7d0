//go:build unix

package share

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/proget-go/ha/proget"
)

// stale fails the first n of each of the named steps as NFS does.
func stale(n int, names ...string) func(string, int) error {
	return func(step string, nth int) error {
		for _, name := range names {
			if step == name && nth <= n {
				return &fs.PathError{Op: step, Path: "x", Err: syscall.ESTALE}
			}
		}
		return nil
	}
}

func TestStaleHandle(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	s := watch(b, stale(attempts-1, "open", "create", "rename", "sync folder", "list", "remove"))
	require.NoError(t, write(t, b, "one", "1"))
	require.Equal(t, "1", read(t, b, "one"))
	require.Equal(t, []string{"one"}, list(t, b, "", ""))
	require.NoError(t, blob.NewBucket(b).Delete(t.Context(), "one"))
	require.Empty(t, files(t, b))
	require.Equal(t, attempts, s.count["rename"])
}

// TestBusy: a file that someone else has open on an SMB share is tried again.
func TestBusy(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	s := watch(b, func(step string, nth int) error {
		if (step == "rename" || step == "remove") && nth < attempts {
			return &fs.PathError{Op: step, Path: "x", Err: syscall.EBUSY}
		}
		return nil
	})
	require.NoError(t, write(t, b, "one", "1"))
	require.NoError(t, blob.NewBucket(b).Delete(t.Context(), "one"))
	require.Equal(t, attempts, s.count["remove"])
}

func TestStaleForGood(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	var waited []time.Duration
	b.wait = func(_ context.Context, d time.Duration) error {
		waited = append(waited, d)
		return nil
	}
	s := watch(b, stale(100, "open"))
	_, _, err := b.open(t.Context(), "one")
	require.ErrorIs(t, err, syscall.ESTALE)
	require.ErrorIs(t, Kind(err), proget.ErrUnavailable)
	require.Equal(t, attempts, s.count["open"])
	const ms = time.Millisecond
	require.Equal(t, []time.Duration{20 * ms, 40 * ms, 80 * ms, 160 * ms}, waited)
}

func TestRetryEndsWithContext(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	b.wait = wait
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := watch(b, stale(100, "open"))
	_, _, err := b.open(ctx, "one")
	require.ErrorIs(t, err, syscall.ESTALE)
	require.Equal(t, 1, s.count["open"])
}

func TestOtherErrorsAreNotRetried(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	s := watch(b, func(string, int) error { return syscall.EIO })
	_, _, err := b.open(t.Context(), "one")
	require.ErrorIs(t, err, syscall.EIO)
	require.Equal(t, 1, s.count["open"])
}

func TestKind(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]error{
		syscall.ENOSPC:   proget.ErrNoSpace,
		syscall.EDQUOT:   proget.ErrNoSpace,
		syscall.EIO:      proget.ErrUnavailable,
		syscall.ESTALE:   proget.ErrUnavailable,
		syscall.EROFS:    proget.ErrUnavailable,
		syscall.EACCES:   proget.ErrUnavailable,
		syscall.EBUSY:    proget.ErrUnavailable,
		io.ErrShortWrite: proget.ErrUnavailable,
		syscall.ENOENT:   nil,
		syscall.EINVAL:   nil,
	} {
		require.Equal(t, want, Kind(fmt.Errorf("x: %w", &fs.PathError{Op: "write", Err: err})), "%v", err)
	}
}

// TestFullDisk: the kind survives gocloud's wrapping.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, failed := range []string{"create", "write", "sync"} {
		b := newBucket(t)
		watch(b, func(step string, _ int) error {
			if step == failed {
				return &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
			}
			return nil
		})
		err := write(t, b, "one", "1")
		require.Equal(t, gcerrors.ResourceExhausted, gcerrors.Code(err), failed)
		require.ErrorIs(t, Kind(err), proget.ErrNoSpace, failed)
		require.Empty(t, files(t, b))
	}
}
