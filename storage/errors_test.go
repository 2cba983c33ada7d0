//go:build unix

package storage

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/proget-go/ha/proget"
)

// faulty is a bucket whose writers fail. What it does not define, panics.
type faulty struct {
	driver.Bucket
	open, write, close error
	code               gcerrors.ErrorCode
	deleted            []string
}

func (f *faulty) NewTypedWriter(context.Context, string, string, *driver.WriterOptions) (driver.Writer, error) {
	return faultyWriter{f}, f.open
}

func (f *faulty) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	f.deleted = append(f.deleted, key)
	return ctx.Err()
}

func (f *faulty) SignedURL(_ context.Context, key string, opts *driver.SignedURLOptions) (string, error) {
	return "https://cdn.example/" + key + "?for=" + opts.Expiry.String(), f.open
}

func (f *faulty) ErrorCode(error) gcerrors.ErrorCode { return f.code }

type faultyWriter struct{ *faulty }

func (w faultyWriter) Write(p []byte) (int, error) { return len(p), w.write }
func (w faultyWriter) Close() error                { return w.close }

func TestPutErrors(t *testing.T) {
	t.Parallel()
	unreachable := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	full := &fs.PathError{Op: "write", Path: "/srv/packages/x", Err: syscall.ENOSPC}
	for _, c := range []struct {
		name   string
		bucket faulty
		want   error
	}{
		{"full on write", faulty{write: full}, proget.ErrNoSpace},
		{"full on close", faulty{close: full}, proget.ErrNoSpace},
		{"unreachable on open", faulty{open: unreachable}, proget.ErrUnavailable},
		{"unreachable on close", faulty{close: unreachable}, proget.ErrUnavailable},
		{"server error", faulty{close: httpError(503)}, proget.ErrUnavailable},
		{"throttled", faulty{close: errors.New("slow down"), code: gcerrors.ResourceExhausted}, proget.ErrUnavailable},
		{"no bucket", faulty{close: errors.New("no bucket"), code: gcerrors.NotFound}, proget.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := New(blob.NewBucket(&c.bucket), nil)
			_, err := s.Put(t.Context(), strings.NewReader("hello"), nil)
			require.ErrorIs(t, err, c.want)
			require.NotErrorIs(t, err, proget.ErrNotFound)
			require.NotEmpty(t, proget.Message(err))
			require.NotContains(t, proget.Message(err), "/srv")
			if c.bucket.open == nil {
				require.Len(t, c.bucket.deleted, 1, "what may have become of it is removed")
			}
		})
	}
}

func TestPutErrorOfUnknownKind(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, bucket := range []*faulty{{close: broken, code: gcerrors.Unknown}, {close: httpError(403), code: gcerrors.Unknown}} {
		_, err := New(blob.NewBucket(bucket), nil).Put(t.Context(), strings.NewReader("hello"), nil)
		require.ErrorIs(t, err, bucket.close)
		require.Empty(t, proget.Message(err))
	}
}

// TestUploadErrorIsNotStorages: a client's broken connection looks like a
// network error, but storage is fine.
func TestUploadErrorIsNotStorages(t *testing.T) {
	t.Parallel()
	gone := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	bucket := &faulty{close: errors.New("aborted")}
	_, err := New(blob.NewBucket(bucket), nil).Put(t.Context(), failingReader{gone}, nil)
	require.ErrorIs(t, err, gone)
	require.NotErrorIs(t, err, proget.ErrUnavailable)
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

type httpError int

func (e httpError) Error() string       { return "HTTP error" }
func (e httpError) HTTPStatusCode() int { return int(e) }

func TestSignedURL(t *testing.T) {
	t.Parallel()
	key := new(keys).newBlob()
	u, err := New(blob.NewBucket(&faulty{}), nil).SignedURL(t.Context(), key, time.Minute, nil)
	require.NoError(t, err)
	require.Equal(t, "https://cdn.example/"+key+"?for=1m0s", u.String())

	_, err = New(blob.NewBucket(&faulty{open: errors.New("x"), code: gcerrors.Unimplemented}), nil).SignedURL(t.Context(), key, time.Minute, nil)
	require.ErrorIs(t, err, ErrUnsupported)
	_, err = New(blob.NewBucket(&faulty{open: httpError(500)}), nil).SignedURL(t.Context(), key, time.Minute, nil)
	require.ErrorIs(t, err, proget.ErrUnavailable)
}
