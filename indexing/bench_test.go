package indexing_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/testenv"
)

// BenchmarkSync is the question for what is new, as many readers at once share
// it.
func BenchmarkSync(b *testing.B) {
	for engine, open := range map[string]func() (*db.Store, error){
		"SQLite": func() (*db.Store, error) {
			return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "test.db"), &db.Options{Logger: dark})
		},
		"PostgreSQL": func() (*db.Store, error) {
			return postgres.Open(b.Context(), testenv.StartPostgres(b).NewDatabase(b), &db.Options{Logger: dark})
		},
	} {
		b.Run(engine, func(b *testing.B) {
			s, err := open()
			require.NoError(b, err)
			defer s.Close()
			benchmarkSync(b, s)
		})
	}
}

func benchmarkSync(b *testing.B, s *db.Store) {
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
