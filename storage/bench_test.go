package storage_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/storage"
)

// bench runs fn for each backend and size.
func bench(b *testing.B, fn func(b *testing.B, s *storage.Store, size int64)) {
	for name, u := range map[string]string{"mem": "mem:", "share": fileURL(b.TempDir())} {
		s, err := storage.Open(b.Context(), u, nil)
		require.NoError(b, err)
		for _, size := range []int64{4 << 10, 1 << 20, 64 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				fn(b, s, size)
			})
		}
	}
}

func BenchmarkPut(b *testing.B) {
	bench(b, func(b *testing.B, s *storage.Store, size int64) {
		for b.Loop() {
			blob, err := s.Put(b.Context(), io.LimitReader(zeros{}, size), nil)
			require.NoError(b, err)
			require.NoError(b, s.Delete(b.Context(), blob.Key))
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	bench(b, func(b *testing.B, s *storage.Store, size int64) {
		blob, err := s.Put(b.Context(), io.LimitReader(zeros{}, size), nil)
		require.NoError(b, err)
		for b.Loop() {
			r, err := s.Open(b.Context(), blob.Key)
			require.NoError(b, err)
			_, err = io.Copy(io.Discard, r)
			require.NoError(b, err)
			require.NoError(b, r.Close())
		}
	})
}
