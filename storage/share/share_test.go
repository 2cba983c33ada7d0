package share

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/proget-go/ha/proget"
)

// newBucket opens a bucket in a fresh folder whose retries do not wait.
func newBucket(t *testing.T) *bucket {
	t.Helper()
	b, err := open(filepath.Join(t.TempDir(), "store"))
	require.NoError(t, err)
	b.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return b
}

// steps records the steps that a bucket takes, and fails those it is told to.
type steps struct {
	mu    sync.Mutex
	taken []string
	fail  func(step string, nth int) error // nth time of this step, from 1
	count map[string]int
}

func watch(b *bucket, fail func(step string, nth int) error) *steps {
	s := &steps{fail: fail, count: map[string]int{}}
	b.before = s.before
	return s
}

func (s *steps) before(step, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[step]++
	name = filepath.ToSlash(name)
	if dir, base, ok := strings.Cut(name, tempPrefix); ok && base != "" {
		name = dir + "TEMP"
	}
	s.taken = append(s.taken, step+" "+name)
	if s.fail == nil {
		return nil
	}
	return s.fail(step, s.count[step])
}

func write(t *testing.T, b *bucket, key, content string) error {
	t.Helper()
	return blob.NewBucket(b).WriteAll(t.Context(), key, []byte(content), &blob.WriterOptions{ContentType: "text/plain"})
}

func read(t *testing.T, b *bucket, key string) string {
	t.Helper()
	content, err := blob.NewBucket(b).ReadAll(t.Context(), key)
	require.NoError(t, err)
	return string(content)
}

// files lists every file in the bucket's folder, temporary ones included.
func files(t *testing.T, b *bucket) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(b.dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	}))
	return names
}

func TestOpenBucket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := OpenBucket(filepath.Join(dir, "a", "b"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoDirExists(t, filepath.Join(dir, "a"))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	_, err = OpenBucket(filepath.Join(dir, "file"))
	require.ErrorContains(t, err, "not a folder")

	for range 2 {
		b, err := OpenBucket(filepath.Join(dir, "new"))
		require.NoError(t, err)
		require.NoError(t, b.Close())
	}
}

// TestDurability: the bytes reach the disk before the name, and each name that is new
// to this process reaches it before the write is acknowledged.
func TestDurability(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	s := watch(b, nil)
	require.NoError(t, write(t, b, "a/b/one", "1"))
	require.Equal(t, []string{
		"sync folder .", "sync folder a",
		"create a/b/TEMP", "write a/b/TEMP", "sync a/b/TEMP", "rename a/b/one", "sync folder a/b",
	}, s.taken)

	s.taken = nil
	require.NoError(t, write(t, b, "a/b/two", "2"))
	require.Equal(t, []string{
		"create a/b/TEMP", "write a/b/TEMP", "sync a/b/TEMP", "rename a/b/two", "sync folder a/b",
	}, s.taken)
	require.Equal(t, []string{"a/b/one", "a/b/two"}, files(t, b))

	s.taken = nil
	require.NoError(t, os.RemoveAll(filepath.Join(b.dir, "a")))
	require.NoError(t, write(t, b, "a/b/three", "3"))
	require.Equal(t, []string{
		"create a/b/TEMP", // finds no folder: the share is another
		"sync folder .", "sync folder a",
		"create a/b/TEMP", "write a/b/TEMP", "sync a/b/TEMP", "rename a/b/three", "sync folder a/b",
	}, s.taken)
}

// TestFolderOfAnother: whoever made a folder may have been killed before its name was
// durable, so that a process sees to that once.
func TestFolderOfAnother(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	require.NoError(t, os.MkdirAll(filepath.Join(b.dir, "a", "b"), 0o750))
	broken := errors.New("broken")
	s := watch(b, func(step string, nth int) error {
		if step == "sync folder" && nth == 2 {
			return broken
		}
		return nil
	})
	require.ErrorIs(t, write(t, b, "a/b/one", "1"), broken)
	require.Empty(t, files(t, b))
	require.Equal(t, []string{"sync folder .", "sync folder a"}, s.taken)
	for _, key := range []string{"a/b/one", "a/b/two", "a/c/one", "a/c/two"} {
		if key == "a/c/one" {
			require.NoError(t, os.Mkdir(filepath.Join(b.dir, "a", "c"), 0o750))
		}
		require.NoError(t, write(t, b, key, key))
	}
	syncs := slices.DeleteFunc(s.taken, func(step string) bool { return !strings.HasPrefix(step, "sync folder") })
	require.Equal(t, []string{"sync folder .", "sync folder a", // which failed
		"sync folder a", "sync folder a/b", "sync folder a/b",
		"sync folder a", "sync folder a/c", "sync folder a/c"}, syncs)
}

// TestManyFolders: what a process remembers of folders is bounded.
func TestManyFolders(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	for i := range 3 * maxDurable {
		b.remember(strconv.Itoa(i))
		require.True(t, b.isDurable(strconv.Itoa(i)))
	}
	require.LessOrEqual(t, len(b.durable), maxDurable)
}

// TestFailedWrite: whichever step fails, no temporary file stays and no object
// is visible; except if only the last sync failed, when the object is complete.
func TestFailedWrite(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, failed := range []string{"create", "write", "sync", "rename", "sync folder"} {
		t.Run(failed, func(t *testing.T) {
			t.Parallel()
			b := newBucket(t)
			require.NoError(t, write(t, b, "a/zero", "0"))
			watch(b, func(step string, _ int) error {
				if step == failed {
					return broken
				}
				return nil
			})
			require.ErrorIs(t, write(t, b, "a/one", "1"), broken)
			if failed == "sync folder" {
				require.Equal(t, []string{"a/one", "a/zero"}, files(t, b))
				return
			}
			require.Equal(t, []string{"a/zero"}, files(t, b))
		})
	}
}

// TestLostBytes: a file that is shorter than what was written to it is no
// object, even if nothing said that a write failed.
func TestLostBytes(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	require.NoError(t, os.Mkdir(filepath.Join(b.dir, "a"), 0o750))
	b.before = func(step, name string) error {
		if step != "sync" {
			return nil
		}
		return os.Truncate(filepath.Join(b.dir, name), 1)
	}
	err := write(t, b, "a/one", "content")
	require.ErrorIs(t, Kind(err), proget.ErrUnavailable)
	require.Empty(t, files(t, b))
}

// TestRenameAnswerLost: NFS may repeat a rename whose answer was lost, and then
// says that the temporary file is missing.
func TestRenameAnswerLost(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	b.before = func(step, name string) error {
		if step != "rename" {
			return nil
		}
		temps, err := filepath.Glob(filepath.Join(b.dir, "a", tempPrefix+"*"))
		require.NoError(t, err)
		require.Len(t, temps, 1)
		require.NoError(t, os.Rename(temps[0], filepath.Join(b.dir, name)))
		return nil
	}
	require.NoError(t, write(t, b, "a/one", "1"))
	require.Equal(t, "1", read(t, b, "a/one"))

	b.before = func(step, _ string) error {
		if step == "rename" {
			return fs.ErrNotExist // the file is really gone
		}
		return nil
	}
	require.ErrorIs(t, write(t, b, "a/one", "2"), fs.ErrNotExist)
	require.Equal(t, "1", read(t, b, "a/one"), "an older file of that name is no proof")
}

func TestReplace(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	require.NoError(t, write(t, b, "a/one", "old"))
	require.NoError(t, write(t, b, "a/one", "new"))
	require.Equal(t, "new", read(t, b, "a/one"))
	require.Len(t, files(t, b), 1)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".tmp-x", "a/.hidden", `a\b`, `..\a`,
		"a\x00", "a\nb", "a:b", "a*", "a?", `a"b`, "a|b", "<a>", "a.", "a ", "con", "a/NUL.txt", "com1", "lpt9.x",
		strings.Repeat("x", 256),
	} {
		require.Equal(t, gcerrors.InvalidArgument, gcerrors.Code(write(t, b, key, "x")), "%q", key)
		_, err := blob.NewBucket(b).ReadAll(t.Context(), key)
		require.Equal(t, gcerrors.InvalidArgument, gcerrors.Code(err), "%q", key)
	}
	for _, key := range []string{"a", "b/b.c-d_e", "ü/☺", "com", "com10", "console", "a b", strings.Repeat("x", 255)} {
		require.NoError(t, write(t, b, "ok/"+key, "x"), "%q", key)
		require.Equal(t, "x", read(t, b, "ok/"+key))
	}
}

// TestSymlink: a link in the folder does not lead out of it.
func TestSymlink(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	if err := os.Symlink(outside, filepath.Join(b.dir, "link")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(b.dir, "file")))

	for _, key := range []string{"link/secret", "file"} {
		_, err := blob.NewBucket(b).ReadAll(t.Context(), key)
		require.Error(t, err)
		require.Error(t, blob.NewBucket(b).Delete(t.Context(), key))
	}
	require.Error(t, write(t, b, "link/new", "x"))
	require.Empty(t, list(t, b, "", ""))
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestUnimplemented(t *testing.T) {
	t.Parallel()
	bucket := blob.NewBucket(newBucket(t))
	require.Equal(t, gcerrors.Unimplemented, gcerrors.Code(bucket.Copy(t.Context(), "a", "b", nil)))
	_, err := bucket.SignedURL(t.Context(), "a", nil)
	require.Equal(t, gcerrors.Unimplemented, gcerrors.Code(err))
	_, err = bucket.NewWriter(t.Context(), "a", &blob.WriterOptions{IfNotExist: true, ContentType: "text/plain"})
	require.Equal(t, gcerrors.Unimplemented, gcerrors.Code(err))
}

func TestErrorAs(t *testing.T) {
	t.Parallel()
	bucket := blob.NewBucket(newBucket(t))
	_, err := bucket.ReadAll(t.Context(), "none")
	require.Equal(t, gcerrors.NotFound, gcerrors.Code(err))
	var path *fs.PathError
	require.True(t, bucket.ErrorAs(err, &path))
	require.NotEmpty(t, path.Op)
}

func TestReaderGivesFile(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	require.NoError(t, write(t, b, "a/one", "hello"))
	r, err := blob.NewBucket(b).NewReader(t.Context(), "a/one", nil)
	require.NoError(t, err)
	var file *os.File
	require.True(t, r.As(&file))
	content, err := io.ReadAll(file)
	require.NoError(t, err)
	require.Equal(t, "hello", string(content))
	require.NoError(t, r.Close())
	_, err = file.Read(make([]byte, 1))
	require.ErrorIs(t, err, fs.ErrClosed)
}

func TestRootGone(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	require.NoError(t, os.Remove(b.dir))
	_, _, err := b.open(t.Context(), "a")
	require.ErrorIs(t, Kind(err), proget.ErrUnavailable)
	require.ErrorIs(t, Kind(write(t, b, "a", "x")), proget.ErrUnavailable)
	require.ErrorIs(t, Kind(blob.NewBucket(b).Delete(t.Context(), "a")), proget.ErrUnavailable)
	require.NoDirExists(t, b.dir, "an unmounted share must not be filled locally")
}

func TestSweep(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	require.NoError(t, write(t, b, "a/b/one", "1"))
	old := time.Now().Add(-2 * time.Hour)
	for name, when := range map[string]time.Time{
		"a/b/.tmp-old": old, ".tmp-old": old, "a/.tmp-new": time.Now(), "a/.other": old, "a/b/one": old,
	} {
		path := filepath.Join(b.dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, when, when))
	}
	require.Equal(t, []string{"a/b/one"}, list(t, b, "", ""), "what is not finished is not listed")

	var sweep Sweeper
	require.True(t, blob.NewBucket(b).As(&sweep))
	removed, err := sweep(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Equal(t, 2, removed)
	require.Equal(t, []string{"a/.other", "a/.tmp-new", "a/b/one"}, files(t, b))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = sweep(ctx, time.Hour)
	require.ErrorIs(t, err, context.Canceled)
}
