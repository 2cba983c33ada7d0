package storagetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

func testPutAndOpen(t *testing.T, s *storage.Store) {
	content := []byte("hello")
	b := put(t, s, content)
	require.Regexp(t, regexp.MustCompile(`^blobs/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{32}$`), b.Key)
	require.EqualValues(t, 5, b.Size)
	r := open(t, s, b.Key)
	require.EqualValues(t, 5, r.Size())
	require.False(t, r.ModTime().IsZero())
	requireContent(t, s, b.Key, content)
}

func testEmpty(t *testing.T, s *storage.Store) {
	b := put(t, s, nil)
	require.Zero(t, b.Size)
	sum := sha256.Sum256(nil)
	require.Equal(t, hex.EncodeToString(sum[:]), b.Digests[proget.SHA256])
	requireContent(t, s, b.Key, nil)
	r, err := s.ReaderAt(t.Context(), b.Key)
	require.NoError(t, err)
	require.Zero(t, r.Size())
	_, err = r.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, r.Close())
}

// testLarge also checks that Put does not buffer an upload: it never asks for more than
// 1 MiB at a time.
func testLarge(t *testing.T, s *storage.Store) {
	content := randomBytes(10<<20 + 1)
	r := &observed{Reader: bytes.NewReader(content)}
	b, err := s.Put(t.Context(), r, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, r.largest, 1<<20)
	require.EqualValues(t, len(content), b.Size)
	sum := sha256.Sum256(content)
	require.Equal(t, hex.EncodeToString(sum[:]), b.Digests[proget.SHA256])
	requireContent(t, s, b.Key, content)
}

// observed records the largest read. It hides WriteTo, which a request's body lacks
// too.
type observed struct {
	io.Reader
	largest int
}

func (o *observed) Read(p []byte) (int, error) {
	o.largest = max(o.largest, len(p))
	return o.Reader.Read(p)
}

func testDigests(t *testing.T, s *storage.Store) {
	content := randomBytes(300_000)
	b, err := s.Put(t.Context(), bytes.NewReader(content), &storage.PutOptions{
		Algorithms:  []proget.Algorithm{proget.MD5, proget.SHA1, proget.SHA512, proget.SHA512, proget.SHA256},
		ContentType: "application/zip",
	})
	require.NoError(t, err)
	m, s1, s2, s5 := md5.Sum(content), sha1.Sum(content), sha256.Sum256(content), sha512.Sum512(content)
	require.Equal(t, proget.Digests{
		proget.MD5:    hex.EncodeToString(m[:]),
		proget.SHA1:   hex.EncodeToString(s1[:]),
		proget.SHA256: hex.EncodeToString(s2[:]),
		proget.SHA512: hex.EncodeToString(s5[:]),
	}, b.Digests)
}

func testUnknownAlgorithm(t *testing.T, s *storage.Store) {
	_, err := s.Put(t.Context(), strings.NewReader("x"), &storage.PutOptions{Algorithms: []proget.Algorithm{"crc8"}})
	require.ErrorContains(t, err, "crc8")
	requireEmpty(t, s)
}

func testMaxSize(t *testing.T, s *storage.Store) {
	for _, size := range []int{10, 1 << 20} {
		content := randomBytes(size)
		_, err := s.Put(t.Context(), bytes.NewReader(content), &storage.PutOptions{MaxSize: int64(size - 1)})
		require.ErrorIs(t, err, proget.ErrTooLarge)
		require.NotEmpty(t, proget.Message(err))
		requireEmpty(t, s)
	}
	content := randomBytes(1 << 20)
	_, err := s.Put(t.Context(), bytes.NewReader(content), &storage.PutOptions{MaxSize: 1 << 20})
	require.NoError(t, err)
}

func testReaderFails(t *testing.T, s *storage.Store) {
	broken := errors.New("broken")
	for _, size := range []int{0, 10, 3 << 20} {
		r := io.MultiReader(bytes.NewReader(randomBytes(size)), &failing{broken})
		_, err := s.Put(t.Context(), r, nil)
		require.ErrorIs(t, err, broken)
		require.NotErrorIs(t, err, proget.ErrUnavailable)
		requireEmpty(t, s)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// testTruncatedBody: the body of an interrupted request ends with io.ErrUnexpectedEOF,
// which must not count as its end.
func testTruncatedBody(t *testing.T, s *storage.Store) {
	r := io.MultiReader(strings.NewReader("half"), &failing{io.ErrUnexpectedEOF})
	_, err := s.Put(t.Context(), r, nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	requireEmpty(t, s)
}

func testCanceled(t *testing.T, s *storage.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Put(ctx, strings.NewReader("hello"), nil)
	require.ErrorIs(t, err, context.Canceled)
	requireEmpty(t, s)
}

func testCanceledMidway(t *testing.T, s *storage.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := io.MultiReader(bytes.NewReader(randomBytes(3<<20)), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, io.EOF // the upload is complete just when the client is gone
	}))
	_, err := s.Put(ctx, r, nil)
	require.ErrorIs(t, err, context.Canceled)
	requireEmpty(t, s)
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// testInvisibleUntilComplete looks at the store while an upload is halfway.
func testInvisibleUntilComplete(t *testing.T, s *storage.Store) {
	pr, pw := io.Pipe()
	var b storage.Blob
	var g errgroup.Group
	g.Go(func() (err error) {
		b, err = s.Put(t.Context(), pr, nil)
		_ = pr.CloseWithError(err)
		return err
	})
	half := randomBytes(1 << 20)
	_, err := pw.Write(half)
	require.NoError(t, err)
	requireEmpty(t, s)
	_, err = pw.Write(half)
	require.NoError(t, err)
	requireEmpty(t, s)
	require.NoError(t, pw.Close())
	require.NoError(t, g.Wait())
	require.Equal(t, []string{b.Key}, keys(t, s, ""))
	requireContent(t, s, b.Key, append(half, half...))
}

func testSameBytesAtOnce(t *testing.T, s *storage.Store) {
	const n = 16
	content := randomBytes(100_000)
	var g errgroup.Group
	blobs := make([]storage.Blob, n)
	for i := range n {
		g.Go(func() (err error) {
			blobs[i], err = s.Put(t.Context(), bytes.NewReader(content), nil)
			return err
		})
	}
	require.NoError(t, g.Wait())
	distinct := map[string]bool{}
	for _, b := range blobs {
		distinct[b.Key] = true
		require.Equal(t, blobs[0].Digests, b.Digests)
		requireContent(t, s, b.Key, content)
	}
	require.Len(t, distinct, n)
}
