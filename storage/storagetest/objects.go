package storagetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

const missingKey = storage.BlobPrefix + "00/00/00000000000000000000000000000000"

func testMissing(t *testing.T, s *storage.Store) {
	_, err := s.Open(t.Context(), missingKey)
	require.ErrorIs(t, err, proget.ErrNotFound)
	require.NotErrorIs(t, err, proget.ErrUnavailable)
	_, err = s.ReaderAt(t.Context(), missingKey)
	require.ErrorIs(t, err, proget.ErrNotFound)
}

func testForeignKeys(t *testing.T, s *storage.Store) {
	for _, key := range []string{
		"", "blobs", "blobs/", "x", "/etc/passwd", "../secret", "blobs/../../secret", "blobs//a", "blobs/a/",
		`blobs/..\secret`, "blobs/A", "blobs/a.b", "blobs/\x00", "other/aa",
	} {
		_, err := s.Open(t.Context(), key)
		require.ErrorIs(t, err, proget.ErrInvalid, "%q", key)
		require.ErrorIs(t, s.Delete(t.Context(), key), proget.ErrInvalid, "%q", key)
		_, err = s.SignedURL(t.Context(), key, time.Minute, nil)
		require.ErrorIs(t, err, proget.ErrInvalid, "%q", key)
	}
}

func testDelete(t *testing.T, s *storage.Store) {
	first, second := put(t, s, []byte("same")), put(t, s, []byte("same"))
	require.NoError(t, s.Delete(t.Context(), first.Key))
	require.NoError(t, s.Delete(t.Context(), first.Key), "a second time")
	require.NoError(t, s.Delete(t.Context(), missingKey), "never there")
	_, err := s.Open(t.Context(), first.Key)
	require.ErrorIs(t, err, proget.ErrNotFound)
	requireContent(t, s, second.Key, []byte("same"))
}

// testDeleteWhileRead: some storages refuse to remove an object that is being read; it
// then remains unchanged, and can be removed when nobody reads it.
func testDeleteWhileRead(t *testing.T, s *storage.Store) {
	b := put(t, s, []byte("hello"))
	r := open(t, s, b.Key)
	if err := s.Delete(t.Context(), b.Key); err != nil {
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.NoError(t, s.Verify(t.Context(), b, nil))
	}
	require.NoError(t, r.Close())
	require.NoError(t, s.Delete(t.Context(), b.Key))
	requireEmpty(t, s)
}

func testList(t *testing.T, s *storage.Store) {
	var want []string
	for range 20 {
		want = append(want, put(t, s, []byte("hello")).Key)
	}
	_, err := s.NewProbe(t.Context(), "web-1")
	require.NoError(t, err)
	slices.Sort(want)
	require.Equal(t, want, keys(t, s, storage.BlobPrefix))
	require.Len(t, keys(t, s, ""), 21)
	for object, err := range s.List(t.Context(), want[7]) {
		require.NoError(t, err)
		require.Equal(t, want[7], object.Key)
		require.EqualValues(t, 5, object.Size)
		require.WithinDuration(t, time.Now(), object.ModTime, time.Hour)
	}
	for range s.List(t.Context(), "") {
		break // stopping early is no error
	}
}

func testSignedURL(t *testing.T, s *storage.Store) {
	b := put(t, s, []byte("hello"))
	u, err := s.SignedURL(t.Context(), b.Key, time.Minute, nil)
	if errors.Is(err, storage.ErrUnsupported) {
		return
	}
	require.NoError(t, err)
	require.True(t, u.IsAbs())
}

// testLeftovers: sweeping harms no object.
func testLeftovers(t *testing.T, s *storage.Store) {
	b := put(t, s, []byte("hello"))
	removed, err := s.RemoveLeftovers(t.Context(), 0)
	require.NoError(t, err)
	require.Zero(t, removed)
	requireContent(t, s, b.Key, []byte("hello"))
}

func testProbe(t *testing.T, s *storage.Store) {
	for _, node := range []string{"web-1", "WEB 1/..\\ü", "con", "", strings.Repeat("x", 300)} {
		p, err := s.NewProbe(t.Context(), node)
		require.NoError(t, err, node)
		require.True(t, strings.HasPrefix(p.Key, storage.ProbePrefix+"node-"), p.Key)
		require.NotEmpty(t, p.Value)
		require.NoError(t, s.CheckProbe(t.Context(), p))
		again, err := s.NewProbe(t.Context(), node)
		require.NoError(t, err)
		require.NotEqual(t, p, again)
		require.NoError(t, s.Delete(t.Context(), p.Key))
		require.NoError(t, s.Delete(t.Context(), again.Key))
	}
	requireEmpty(t, s)
}

func testProbeNotShared(t *testing.T, s *storage.Store) {
	p, err := s.NewProbe(t.Context(), "web-1")
	require.NoError(t, err)
	for _, value := range []string{"", "other", p.Value + "x", p.Value[1:]} {
		err = s.CheckProbe(t.Context(), storage.Probe{Key: p.Key, Value: value})
		require.ErrorIs(t, err, storage.ErrNotShared, "%q", value)
	}
	require.NoError(t, s.Delete(t.Context(), p.Key))
	require.ErrorIs(t, s.CheckProbe(t.Context(), p), storage.ErrNotShared)
}

func testCheckWritable(t *testing.T, s *storage.Store) {
	require.NoError(t, s.CheckWritable(t.Context(), "web-1"))
	requireEmpty(t, s)
}

// testCompose: an object composed of parts by storage is whole, and the parts stay.
func testCompose(t *testing.T, s *storage.Store) {
	for _, sizes := range [][]int{{1, 0, 70_000}, {5 << 20, 6 << 20, 17}} {
		var want []byte
		var parts []storage.Blob
		for i, size := range sizes {
			content := bytes.Repeat([]byte{byte('a' + i)}, size)
			want = append(want, content...)
			parts = append(parts, put(t, s, content))
		}
		whole, err := s.Compose(t.Context(), parts)
		if errors.Is(err, storage.ErrUnsupported) {
			require.Len(t, keys(t, s, ""), len(parts))
		} else {
			require.NoError(t, err)
			sum := sha256.Sum256(want)
			whole.Digests = proget.Digests{proget.SHA256: hex.EncodeToString(sum[:])}
			require.EqualValues(t, len(want), whole.Size)
			require.NoError(t, s.Verify(t.Context(), whole, nil))
		}
		for i, part := range parts {
			require.NoError(t, s.Verify(t.Context(), part, nil), i)
			require.NoError(t, s.Delete(t.Context(), part.Key))
		}
		if whole.Key != "" {
			require.NoError(t, s.Delete(t.Context(), whole.Key))
		}
	}
	there := put(t, s, []byte("there"))
	_, err := s.Compose(t.Context(), []storage.Blob{there, {Key: missingKey, Size: 5}})
	require.Error(t, err)
	require.Equal(t, []string{there.Key}, keys(t, s, ""), "half of an object is not left behind")
}
