package share_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// TestFullFileSystem: an upload that has no room is refused before its bytes if
// its size is known, and leaves nothing if it is not; one that has is taken.
func TestFullFileSystem(t *testing.T) {
	t.Parallel()
	dir := testenv.SmallDisk(t)
	s, err := storage.OpenFolder(filepath.Join(dir, "store"), nil)
	require.NoError(t, err)
	large := bytes.NewReader(make([]byte, 20<<20))
	_, err = s.Put(t.Context(), large, &storage.PutOptions{Size: large.Size()})
	require.ErrorIs(t, err, proget.ErrNoSpace)
	require.EqualValues(t, 20<<20, large.Len(), "no byte was taken")

	_, err = s.Put(t.Context(), large, nil)
	require.ErrorIs(t, err, proget.ErrNoSpace)
	require.Equal(t, "Storage is full.", proget.Message(err))
	requireNoFiles(t, dir)

	b, err := s.Put(t.Context(), io.LimitReader(zeros{}, 2<<20), &storage.PutOptions{Size: 2 << 20})
	require.NoError(t, err)
	require.NoError(t, s.Verify(t.Context(), b, nil))
	for err == nil { // until it is really full
		_, err = s.Put(t.Context(), strings.NewReader(strings.Repeat("x", 100_000)), nil)
	}
	require.ErrorIs(t, err, proget.ErrNoSpace)
	require.NoError(t, s.Verify(t.Context(), b, nil), "what is there can be read")
	require.NoError(t, s.Delete(t.Context(), b.Key))
	_, err = s.Put(t.Context(), io.LimitReader(zeros{}, 1<<20), &storage.PutOptions{Size: 1 << 20})
	require.NoError(t, err)
}

// TestReadOnlyFileSystem: a share that was mounted anew without the right to
// write says so, and is read as before.
func TestReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	dir := testenv.SmallDisk(t)
	s, err := storage.OpenFolder(filepath.Join(dir, "store"), nil)
	require.NoError(t, err)
	b, err := s.Put(t.Context(), strings.NewReader("hello"), nil)
	require.NoError(t, err)
	out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	_, err = s.Put(t.Context(), strings.NewReader("hello"), nil)
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.ErrorIs(t, err, storage.ErrReadOnly)
	require.ErrorIs(t, s.Delete(t.Context(), b.Key), storage.ErrReadOnly)
	require.NoError(t, s.Verify(t.Context(), b, nil))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func requireNoFiles(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "store"), func(path string, entry os.DirEntry, err error) error {
		if err == nil {
			require.True(t, entry.IsDir(), path)
		}
		return err
	}))
}
