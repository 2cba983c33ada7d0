package indexing_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
)

// BenchmarkSync is the question for what is new, on SQLite, as many readers at
// once share it.
func BenchmarkSync(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "test.db"), &db.Options{Logger: dark})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	for _, readers := range []int{1, 16, 256, 1000} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			tail := indexing.NewTail(s, &indexing.TailOptions{Logger: dark})
			defer tail.Close()
			var all sync.WaitGroup
			for n := range readers {
				all.Go(func() {
					for i := n; i < b.N; i += readers {
						if err := tail.Sync(b.Context()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}
