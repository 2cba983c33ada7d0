package storagetest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/storage"
)

// Run runs the conformance tests. newStore opens an empty store to which nobody else
// writes; Run closes it.
func Run(t *testing.T, newStore func(t *testing.T) *storage.Store) {
	cases := []struct {
		name string
		run  func(t *testing.T, s *storage.Store)
	}{
		{"PutAndOpen", testPutAndOpen},
		{"Empty", testEmpty},
		{"Large", testLarge},
		{"Digests", testDigests},
		{"UnknownAlgorithm", testUnknownAlgorithm},
		{"MaxSize", testMaxSize},
		{"ReaderFails", testReaderFails},
		{"TruncatedBody", testTruncatedBody},
		{"Canceled", testCanceled},
		{"CanceledMidway", testCanceledMidway},
		{"InvisibleUntilComplete", testInvisibleUntilComplete},
		{"SameBytesAtOnce", testSameBytesAtOnce},
		{"Verify", testVerify},
		{"Seek", testSeek},
		{"ServeContent", testServeContent},
		{"ReaderAt", testReaderAt},
		{"ReaderAtConcurrent", testReaderAtConcurrent},
		{"Zip", testZip},
		{"Compose", testCompose},
		{"Missing", testMissing},
		{"ForeignKeys", testForeignKeys},
		{"Delete", testDelete},
		{"DeleteWhileRead", testDeleteWhileRead},
		{"List", testList},
		{"SignedURL", testSignedURL},
		{"Leftovers", testLeftovers},
		{"Probe", testProbe},
		{"ProbeNotShared", testProbeNotShared},
		{"CheckWritable", testCheckWritable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			c.run(t, s)
		})
	}
}

// randomBytes returns n bytes that are the same in every run.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func put(t *testing.T, s *storage.Store, content []byte) storage.Blob {
	t.Helper()
	b, err := s.Put(t.Context(), bytes.NewReader(content), nil)
	require.NoError(t, err)
	return b
}

func open(t *testing.T, s *storage.Store, key string) *storage.Reader {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func requireContent(t *testing.T, s *storage.Store, key string, want []byte) {
	t.Helper()
	got, err := io.ReadAll(open(t, s, key))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "content of %s differs", key)
}

// keys lists the store.
func keys(t *testing.T, s *storage.Store, prefix string) []string {
	t.Helper()
	var keys []string
	for object, err := range s.List(context.WithoutCancel(t.Context()), prefix) {
		require.NoError(t, err)
		keys = append(keys, object.Key)
	}
	return keys
}

func requireEmpty(t *testing.T, s *storage.Store) {
	t.Helper()
	require.Empty(t, keys(t, s, ""), "something stayed behind")
}
