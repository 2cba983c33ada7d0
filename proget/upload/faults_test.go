package upload_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/upload"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/faulty"
)

// TestJoinFails: no part stays open if the object that joins them cannot be written.
func TestJoinFails(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	bucket := &counting{Bucket: faulty.New(memblob.OpenBucket(nil))}
	blobs := storage.New(blob.NewBucket(bucket), nil)
	t.Cleanup(func() { _ = blobs.Close() })
	u := upload.New(in.db, storage.NewSet(blobs, nil), in.keys, &upload.Options{Logger: dark})
	r := in.begin(t, u)
	const size = 300_000
	for i := range int64(2) {
		require.NoError(t, u.PutPart(t.Context(), r, i*size, size, strings.NewReader(strings.Repeat("x", size))))
	}
	bucket.Inject(faulty.Fault{Op: faulty.Write, Nth: 2, Err: faulty.ErrNoSpace})
	_, err := u.Finish(t.Context(), r, 2*size, nil)
	require.ErrorIs(t, err, proget.ErrNoSpace)
	require.NotZero(t, bucket.opened.Load())
	require.Equal(t, bucket.opened.Load(), bucket.closed.Load())
	bucket.Clear()
	_, err = u.Finish(t.Context(), r, 2*size, nil)
	require.NoError(t, err)
	require.Equal(t, bucket.opened.Load(), bucket.closed.Load())
}

// counting counts the objects that are opened for reading, and those closed again.
type counting struct {
	*faulty.Bucket
	opened, closed atomic.Int64
}

func (c *counting) NewRangeReader(ctx context.Context, key string, offset, length int64, opts *driver.ReaderOptions) (driver.Reader, error) {
	r, err := c.Bucket.NewRangeReader(ctx, key, offset, length, opts)
	if err != nil {
		return nil, err
	}
	c.opened.Add(1)
	return &counted{r, c}, nil
}

type counted struct {
	driver.Reader
	in *counting
}

func (c *counted) Close() error {
	c.in.closed.Add(1)
	return c.Reader.Close()
}

// TestEmptyChunk: an empty chunk is accepted although its object cannot be removed.
func TestEmptyChunk(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	bucket := faulty.New(memblob.OpenBucket(nil))
	blobs := storage.New(blob.NewBucket(bucket), nil)
	t.Cleanup(func() { _ = blobs.Close() })
	u := upload.New(in.db, storage.NewSet(blobs, nil), in.keys, &upload.Options{Logger: dark})
	r := in.begin(t, u)
	_, err := u.Append(t.Context(), r, 0, strings.NewReader("all"))
	require.NoError(t, err)
	bucket.Inject(faulty.Fault{Op: faulty.Delete, Err: faulty.ErrIO})
	size, err := u.Append(t.Context(), r, 3, strings.NewReader(""))
	require.NoError(t, err)
	require.EqualValues(t, 3, size)
	require.Equal(t, 1, bucket.Fired())
}
