package snapshot_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/indexing/search/snapshot"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

const office = "test"

// An installation is a database and a folder.
type installation struct {
	folder string
	db     *db.Store
	shelf  *snapshot.Shelf
}

func newInstallation(t testing.TB) *installation {
	t.Helper()
	in := &installation{folder: filepath.Join(t.TempDir(), "packages")}
	var err error
	in.db, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), &db.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	blobs, err := storage.OpenFolder(in.folder, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, blobs.Close())
		require.NoError(t, in.db.Close())
	})
	in.shelf = &snapshot.Shelf{DB: in.db, Files: repoindex.NewFiles(in.db, storage.NewSet(blobs, nil))}
	return in
}

func (in *installation) lead(t testing.TB) proget.Fence {
	t.Helper()
	fence, ok, err := in.db.AcquireLease(t.Context(), db.LeaseRequest{Office: office, Holder: rand.Text(), Term: rand.Text(), TTL: time.Nanosecond})
	require.NoError(t, err)
	require.True(t, ok)
	return fence
}

func (in *installation) publish(t testing.TB, x *bleve.Index, fence proget.Fence) (*snapshot.Manifest, int64, error) {
	t.Helper()
	at, _ := x.Position(1)
	return in.shelf.Publish(t.Context(), x, map[int64]int64{1: at}, filepath.Join(t.TempDir(), "copy"), office, fence)
}

func newIndex(t testing.TB) (*bleve.Index, string) {
	t.Helper()
	dir := t.TempDir()
	x, err := bleve.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x, dir
}

// fill adds packages and moves on by as many log entries.
func fill(t testing.TB, x *bleve.Index, name string, n int) {
	t.Helper()
	at, _ := x.Position(1)
	changes := make([]search.Change, n)
	for i := range changes {
		key := fmt.Sprintf("%s%d", name, i)
		changes[i] = search.Change{Key: key, Document: &search.Document{Key: key, Name: key, Description: rand.Text(), Stable: true}}
	}
	require.NoError(t, x.Update(t.Context(), 1, changes, at, at+int64(n), ""))
}

func count(t testing.TB, x search.Index, text string) int {
	t.Helper()
	hits, err := x.Search(t.Context(), search.Query{FeedID: 1, Text: text}.Bounded())
	require.NoError(t, err)
	return hits.Total
}

// TestSnapshot: an index that begins with a snapshot finds what the other found,
// and stands where that stood; a later snapshot shares what has not changed.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	fence := in.lead(t)
	_, err := in.shelf.Newest(t.Context())
	require.ErrorIs(t, err, proget.ErrNotFound)
	x, _ := newIndex(t)
	y, dir := newIndex(t)
	_, err = in.shelf.Fetch(t.Context(), y, filepath.Join(dir, "fetched"))
	require.ErrorIs(t, err, proget.ErrNotFound)

	fill(t, x, "acme", 2000)
	m, first, err := in.publish(t, x, fence)
	require.NoError(t, err)
	require.Equal(t, map[int64]int64{1: 2000}, m.Positions)
	require.Equal(t, m.Bytes(), first)
	fill(t, x, "other", 1)
	m, second, err := in.publish(t, x, fence)
	require.NoError(t, err)
	require.Less(t, second, first/2, "segments that were there are not stored again")
	require.Less(t, second, m.Bytes())

	fill(t, y, "stray", 5)
	_, err = in.shelf.Fetch(t.Context(), y, filepath.Join(dir, "fetched"))
	require.NoError(t, err)
	at, _ := y.Position(1)
	require.EqualValues(t, 2001, at)
	require.Equal(t, []int{2000, 1, 0}, []int{count(t, y, "acme"), count(t, y, "other"), count(t, y, "stray")})
	fill(t, y, "more", 3)
	require.Equal(t, 3, count(t, y, "more"), "it goes on from there")
	require.NoDirExists(t, filepath.Join(dir, "fetched"))
}

// TestStale: a former leader publishes nothing, and who fetches an older
// snapshot while a newer one comes gets all of the older one.
func TestStale(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	x, _ := newIndex(t)
	fill(t, x, "acme", 10)
	former, fence := in.lead(t), in.lead(t)
	_, _, err := in.publish(t, x, fence)
	require.NoError(t, err)
	fill(t, x, "more", 10)
	_, _, err = in.publish(t, x, former)
	require.ErrorIs(t, err, proget.ErrStale)
	m, err := in.shelf.Newest(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 10, m.Positions[1])
}

// otherFormat is an index of another version of the program.
type otherFormat struct{ snapshot.Index }

func (otherFormat) Format() string { return "other" }

// TestUseless: a snapshot that is damaged, incomplete or of another format is
// refused, the index is as it was, and nothing is left behind.
func TestUseless(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	x, _ := newIndex(t)
	fill(t, x, "acme", 1000)
	m, _, err := in.publish(t, x, in.lead(t))
	require.NoError(t, err)
	y, dir := newIndex(t)
	fill(t, y, "mine", 1)
	fetch := func(as snapshot.Index) error {
		_, err := in.shelf.Fetch(t.Context(), as, filepath.Join(dir, "fetched"))
		require.Equal(t, 1, count(t, y, "mine"))
		require.NoDirExists(t, filepath.Join(dir, "fetched"))
		return err
	}
	require.ErrorIs(t, fetch(otherFormat{y}), snapshot.ErrFormat)

	var largest string
	var size int64
	err = filepath.WalkDir(in.folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	require.NoError(t, err)
	require.LessOrEqual(t, size, m.Bytes())
	bytes, err := os.ReadFile(largest)
	require.NoError(t, err)
	bytes[len(bytes)/2] ^= 1
	require.NoError(t, os.WriteFile(largest, bytes, 0o600))
	require.ErrorIs(t, fetch(y), storage.ErrDamaged)
	require.NoError(t, os.Remove(largest))
	require.ErrorIs(t, fetch(y), proget.ErrNotFound)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = in.shelf.Fetch(canceled, y, filepath.Join(dir, "fetched"))
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = in.publish(t, x, in.lead(t))
	require.NoError(t, err)
	_, err = in.shelf.Fetch(t.Context(), y, filepath.Join(dir, "fetched"))
	require.NoError(t, err, "the next snapshot brings again what storage has lost")
	require.Equal(t, 1000, count(t, y, "acme"))
}

// BenchmarkFetch is how long a new node takes to begin with a snapshot, to read
// it included.
func BenchmarkFetch(b *testing.B) {
	for _, packages := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(packages), func(b *testing.B) {
			in := newInstallation(b)
			x, _ := newIndex(b)
			for n := range packages / 1000 {
				fill(b, x, fmt.Sprintf("acme.p%d.", n), 1000)
			}
			m, _, err := in.publish(b, x, in.lead(b))
			require.NoError(b, err)
			b.SetBytes(m.Bytes())
			for b.Loop() {
				y, dir := newIndex(b)
				_, err := in.shelf.Fetch(b.Context(), y, filepath.Join(dir, "fetched"))
				require.NoError(b, err)
			}
		})
	}
}
