package storage_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/storage"
)

var benchSizes = []int64{4 << 10, 1 << 20, 1 << 30}

// A rival is a program that puts the file at path where a backend does, and gets
// it again.
type rival struct {
	name     string
	put, get func(path string) *exec.Cmd
}

// bench runs ours for each backend and size, one at a time and 16 at once, and
// then what a person would use instead.
func bench(b *testing.B, ours func(b *testing.B, s *storage.Store, size int64) func() error, theirs func(r rival, path string) *exec.Cmd) {
	s3 := testenv.StartS3(b)
	dir := b.TempDir()
	cp := rival{"cp and cat", func(path string) *exec.Cmd { return exec.Command("cp", path, filepath.Join(dir, "copy")) },
		func(path string) *exec.Cmd { return exec.Command("cat", path) }}
	at := fmt.Sprintf("http://%s/%s/by-curl", s3.Address, testenv.Bucket)
	signed := []string{"-sf", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "access:hidden-key", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", at}
	curl := rival{"curl", func(path string) *exec.Cmd { return exec.Command("curl", append(signed, "-T", path)...) },
		func(string) *exec.Cmd { return exec.Command("curl", signed...) }}
	for _, backend := range []struct {
		name, url string
		rival     rival
	}{{"share", fileURL(dir), cp}, {"s3", s3.BucketURL(s3.Address, "bench/"), curl}} {
		s, err := storage.Open(b.Context(), backend.url, services)
		require.NoError(b, err)
		b.Cleanup(func() { _ = s.Close() })
		for _, size := range benchSizes {
			name := fmt.Sprintf("%s/%dKiB", backend.name, size>>10)
			b.Run(name+"/ours", func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				do := ours(b, s, size)
				for b.Loop() {
					require.NoError(b, do())
				}
			})
			b.Run(name+"/ours 16 at once", func(b *testing.B) {
				if size > 1<<20 {
					b.Skip("it would fill the disk")
				}
				b.SetBytes(size)
				b.SetParallelism(8) // on two processors
				do := ours(b, s, size)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := do(); err != nil {
							b.Error(err)
						}
					}
				})
			})
			b.Run(name+"/"+backend.rival.name, func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "source")
				f, err := os.Create(path)
				require.NoError(b, err)
				_, err = io.CopyN(f, zeros{}, size)
				require.NoError(b, err)
				require.NoError(b, f.Close())
				require.NoError(b, backend.rival.put(path).Run())
				b.SetBytes(size)
				for b.Loop() {
					cmd := theirs(backend.rival, path)
					cmd.Stdout = io.Discard // through a pipe, as to a client
					require.NoError(b, cmd.Run())
				}
			})
		}
	}
}

func BenchmarkPut(b *testing.B) {
	bench(b, func(b *testing.B, s *storage.Store, size int64) func() error {
		return func() error {
			blob, err := s.Put(b.Context(), io.LimitReader(zeros{}, size), nil)
			if err == nil {
				err = s.Delete(b.Context(), blob.Key)
			}
			return err
		}
	}, func(r rival, path string) *exec.Cmd { return r.put(path) })
}

func BenchmarkGet(b *testing.B) {
	bench(b, func(b *testing.B, s *storage.Store, size int64) func() error {
		blob, err := s.Put(b.Context(), io.LimitReader(zeros{}, size), nil)
		require.NoError(b, err)
		b.Cleanup(func() { _ = s.Delete(b.Context(), blob.Key) })
		return func() error {
			r, err := s.OpenBlob(b.Context(), blob)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		}
	}, func(r rival, path string) *exec.Cmd { return r.get(path) })
}
