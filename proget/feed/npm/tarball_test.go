package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestUnpacked: what an entry claims to hold counts before it is decompressed, be it
// of a type that clients do not unpack.
func TestUnpacked(t *testing.T) {
	t.Parallel()
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeReg, Size: maxUnpacked},
		{Typeflag: tar.TypeReg, Size: math.MaxInt64},
		{Typeflag: tar.TypeCont, Size: maxUnpacked},
		{Typeflag: 'Z', Size: math.MaxInt64},
	} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "package/a", Size: 1}))
		_, err := w.Write([]byte("a"))
		require.NoError(t, err)
		h.Name, h.Format = "package/b", tar.FormatGNU
		require.NoError(t, w.WriteHeader(&h))
		require.NoError(t, z.Close())
		_, err = inspect(t.Context(), feed.File{ReaderAt: bytes.NewReader(b.Bytes()), Size: int64(b.Len())})
		require.ErrorIs(t, err, proget.ErrInvalid)
		require.Contains(t, proget.Message(err), "unpacks to more than 8 GiB", "%c", h.Typeflag)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestStorageFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is broken")
	_, err := inspect(t.Context(), feed.File{ReaderAt: failing{broken}, Size: 1000})
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, proget.ErrInvalid)
}

// TestOddEntries: what clients do not unpack is left alone.
func TestOddEntries(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeXGlobalHeader, Name: "/tmp/GlobalHead.1", PAXRecords: map[string]string{"comment": "c"}},
		{Typeflag: tar.TypeDir, Name: "package/"},
		{Typeflag: tar.TypeSymlink, Name: "package/l", Linkname: "/etc/passwd"},
		{Typeflag: tar.TypeCont, Name: "package/package.json"},
	} {
		require.NoError(t, w.WriteHeader(&h))
	}
	require.NoError(t, w.Flush())
	require.NoError(t, z.Close())
	b.Write(testenv.Tarball(t, "package/package.json", `{"name":"a","version":"1.0.0"}`))
	m, err := inspect(t.Context(), feed.File{ReaderAt: bytes.NewReader(b.Bytes()), Size: int64(b.Len())})
	require.NoError(t, err)
	require.Equal(t, 1, m.Data.(data).Files)
}
