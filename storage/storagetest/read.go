package storagetest

import (
	"archive/zip"
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

func testSeek(t *testing.T, s *storage.Store) {
	content := randomBytes(200_000)
	r := open(t, s, put(t, s, content).Key)
	for _, c := range []struct {
		offset int64
		whence int
		at     int64
	}{{100_000, io.SeekStart, 100_000}, {-10, io.SeekEnd, 199_990}, {-20, io.SeekCurrent, 199_970}, {0, io.SeekStart, 0}} {
		at, err := r.Seek(c.offset, c.whence)
		require.NoError(t, err)
		require.Equal(t, c.at, at)
		p := make([]byte, 10)
		_, err = io.ReadFull(r, p)
		require.NoError(t, err)
		require.Equal(t, content[at:at+10], p)
		_, err = r.Seek(at, io.SeekStart)
		require.NoError(t, err)
	}
	rest := &bytes.Buffer{}
	n, err := r.WriteTo(rest)
	require.NoError(t, err)
	require.EqualValues(t, len(content), n)
	require.True(t, bytes.Equal(content, rest.Bytes()))
}

func testVerify(t *testing.T, s *storage.Store) {
	for _, size := range []int{0, 1, 300_000} {
		whole := put(t, s, randomBytes(size))
		require.NoError(t, s.Verify(t.Context(), whole, nil))
		longer, other := whole, whole
		longer.Size++
		require.ErrorIs(t, s.Verify(t.Context(), longer, nil), storage.ErrDamaged)
		other.Digests = put(t, s, randomBytes(size+1)).Digests
		require.ErrorIs(t, s.Verify(t.Context(), other, nil), storage.ErrDamaged)
		require.NoError(t, s.Delete(t.Context(), whole.Key))
		require.ErrorIs(t, s.Verify(t.Context(), whole, nil), proget.ErrNotFound)
	}
}

func testServeContent(t *testing.T, s *storage.Store) {
	content := randomBytes(200_000)
	key := put(t, s, content).Key
	for _, c := range []struct {
		header   string
		status   int
		from, to int
	}{
		{"", http.StatusOK, 0, 200_000},
		{"bytes=10-19", http.StatusPartialContent, 10, 20},
		{"bytes=-100", http.StatusPartialContent, 199_900, 200_000},
		{"bytes=150000-", http.StatusPartialContent, 150_000, 200_000},
	} {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Range", c.header)
		w := httptest.NewRecorder()
		http.ServeContent(w, req, "a.bin", time.Time{}, open(t, s, key).Content())
		require.Equal(t, c.status, w.Code, c.header)
		require.Equal(t, strconv.Itoa(c.to-c.from), w.Header().Get("Content-Length"))
		require.True(t, bytes.Equal(content[c.from:c.to], w.Body.Bytes()), c.header)
	}
}

// testReaderAt reads in all sizes and directions.
func testReaderAt(t *testing.T, s *storage.Store) {
	content := randomBytes(5 << 20)
	r, err := s.ReaderAt(t.Context(), put(t, s, content).Key)
	require.NoError(t, err)
	defer r.Close()
	require.EqualValues(t, len(content), r.Size())
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		from := random.IntN(len(content))
		requireAt(t, r, content, from, random.IntN(len(content)-from))
	}
	for from := 0; from+70_000 < len(content); from += 70_000 { // straight on
		requireAt(t, r, content, from, 70_000)
	}
	p := make([]byte, 10)
	n, err := r.ReadAt(p, r.Size()-4)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, content[len(content)-4:], p[:n])
	_, err = r.ReadAt(p, r.Size()+1)
	require.ErrorIs(t, err, io.EOF)
	_, err = r.ReadAt(p, -1)
	require.Error(t, err)
}

func requireAt(t *testing.T, r io.ReaderAt, content []byte, from, length int) {
	t.Helper()
	p := make([]byte, length)
	n, err := r.ReadAt(p, int64(from))
	require.NoError(t, err)
	require.Equal(t, length, n)
	require.True(t, bytes.Equal(content[from:from+length], p), "%d bytes at %d differ", length, from)
}

func testReaderAtConcurrent(t *testing.T, s *storage.Store) {
	content := randomBytes(1 << 20)
	r, err := s.ReaderAt(t.Context(), put(t, s, content).Key)
	require.NoError(t, err)
	defer r.Close()
	var g errgroup.Group
	for i := range 8 {
		g.Go(func() error {
			got, err := io.ReadAll(io.NewSectionReader(r, int64(i)*1000, r.Size()))
			if err == nil && !bytes.Equal(content[i*1000:], got) {
				err = io.ErrUnexpectedEOF
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
}

func testZip(t *testing.T, s *storage.Store) {
	var archive bytes.Buffer
	zw := zip.NewWriter(&archive)
	for i := range 60 {
		w, err := zw.Create("file" + strconv.Itoa(i))
		require.NoError(t, err)
		_, err = w.Write(randomBytes(1000 * i))
		require.NoError(t, err)
	}
	require.NoError(t, zw.Close())
	r, err := s.ReaderAt(t.Context(), put(t, s, archive.Bytes()).Key)
	require.NoError(t, err)
	defer r.Close()
	zr, err := zip.NewReader(r, r.Size())
	require.NoError(t, err)
	require.Len(t, zr.File, 60)
	for i, file := range zr.File {
		f, err := file.Open()
		require.NoError(t, err)
		got, err := io.ReadAll(f) // checks the CRC, too
		require.NoError(t, err)
		require.Len(t, got, 1000*i)
		require.NoError(t, f.Close())
	}
}
