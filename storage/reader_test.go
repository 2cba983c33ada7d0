package storage_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/storage"
)

// altered stores content and changes one byte behind the store's back, unless
// at is negative.
func altered(t *testing.T, content []byte, at int) (*storage.Store, storage.Blob) {
	t.Helper()
	bucket := memblob.OpenBucket(nil)
	s := storage.New(bucket, nil)
	b, err := s.Put(t.Context(), bytes.NewReader(content), nil)
	require.NoError(t, err)
	if at >= 0 {
		content = bytes.Clone(content)
		content[at] ^= 1
		require.NoError(t, bucket.WriteAll(t.Context(), b.Key, content, nil))
	}
	return s, b
}

// TestAlteredObject: a client never gets all bytes of an object that is not as
// it was stored.
func TestAlteredObject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ size, at int }{
		{1, 0}, {5, 2}, {64 << 10, 0}, {64<<10 + 1, 0}, {300_000, 0}, {300_000, 150_000}, {300_000, 299_999},
	} {
		content := bytes.Repeat([]byte("x"), c.size)
		s, b := altered(t, content, c.at)
		ended := make(chan error, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o, err := s.OpenBlob(r.Context(), b)
			if err != nil {
				panic(err)
			}
			defer o.Close()
			w.Header().Set("Content-Type", "application/zip")
			http.ServeContent(w, r, "", time.Time{}, o.Content())
			ended <- o.Err()
		}))
		resp, err := http.Get(server.URL)
		require.NoError(t, err)
		require.EqualValues(t, c.size, resp.ContentLength)
		got, err := io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%+v", c)
		require.Less(t, len(got), c.size)
		require.NoError(t, resp.Body.Close())
		require.ErrorIs(t, <-ended, storage.ErrDamaged)
		server.Close()
	}
}

// TestWholeObjectIsRead in all ways of reading it.
func TestWholeObjectIsRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 300_000} {
		content := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		s, b := altered(t, content, -1)
		for _, step := range []int{1 << 10, 64 << 10, 1 << 20} {
			r, err := s.OpenBlob(t.Context(), b)
			require.NoError(t, err)
			var got []byte
			for p := make([]byte, step); err == nil; {
				var n int
				n, err = r.Read(p)
				got = append(got, p[:n]...)
			}
			require.ErrorIs(t, err, io.EOF)
			require.True(t, bytes.Equal(content, got), "%d by %d", size, step)
			require.NoError(t, r.Err())
			require.NoError(t, r.Close())
		}
	}
}

// TestPartIsNotChecked: what is read out of order cannot be.
func TestPartIsNotChecked(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("x"), 100_000)
	s, b := altered(t, content, 0)
	r, err := s.OpenBlob(t.Context(), b)
	require.NoError(t, err)
	defer r.Close()
	for _, from := range []int64{10, 90_000, 0} {
		_, err = r.Seek(from, io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Len(t, got, len(content)-int(from))
	}
	_, err = r.Seek(-1, io.SeekStart)
	require.Error(t, err)
}

// TestOtherSize is found out before a byte is read.
func TestOtherSize(t *testing.T) {
	t.Parallel()
	s, b := altered(t, []byte("hello"), -1)
	b.Size++
	_, err := s.OpenBlob(t.Context(), b)
	require.ErrorIs(t, err, storage.ErrDamaged)
}
