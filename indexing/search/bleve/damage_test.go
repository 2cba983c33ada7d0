package bleve_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/bleve"
)

func document(name, description string) search.Document {
	return search.Document{Key: name, Name: name, Description: description, Stable: true}
}

// fill puts some packages into feed 1, batch by batch, and returns the position.
func fill(t testing.TB, x search.Index, batches int) int64 {
	t.Helper()
	for n := range batches {
		fillBatch(t, x, lot(n))
	}
	position, _ := x.Position(1)
	return position
}

// fillBatch puts 50 packages into feed 1 and returns the position.
func fillBatch(t testing.TB, x search.Index, lot string) int64 {
	t.Helper()
	var changes []search.Change
	for i := range 50 {
		d := document(fmt.Sprintf("acme.%s.p%d", lot, i), "A package of the company")
		changes = append(changes, search.Change{Key: d.Key, Document: &d})
	}
	from, _ := x.Position(1)
	require.NoError(t, x.Update(t.Context(), 1, changes, from, from+1, ""))
	return from + 1
}

// lot is a word of the packages of one batch.
func lot(n int) string { return "lot" + string(rune('a'+n)) }

func total(t testing.TB, x search.Index, text string) int {
	t.Helper()
	hits, err := x.Search(t.Context(), search.Query{FeedID: 1, Text: text})
	require.NoError(t, err)
	return hits.Total
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := open(t, dir)
	fill(t, x, 1)
	_, err := bleve.Open(dir)
	require.ErrorContains(t, err, "another process")
	require.Equal(t, 50, total(t, x, "company"), "and does no harm")
	require.NoError(t, x.Close())
}

// TestOpenAnything: whatever a folder holds, an index can be opened there, and
// has either everything or nothing.
func TestOpenAnything(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	x := open(t, whole)
	position := fill(t, x, 10)
	require.NoError(t, x.Close())
	edit := func(glob string, change func(path string, content []byte) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, bleve.Folder, filepath.FromSlash(glob)))
			require.NoError(t, err)
			require.NotEmpty(t, files)
			content, err := os.ReadFile(files[0])
			require.NoError(t, err)
			require.NoError(t, change(files[0], content))
		}
	}
	write := func(path string, content []byte) error { return os.WriteFile(path, content, 0o600) }
	flip := func(at func(size int) int) func(string, []byte) error {
		return func(path string, content []byte) error {
			content[at(len(content))] ^= 0xff
			return write(path, content)
		}
	}
	for name, damage := range map[string]func(t *testing.T, dir string){
		"FormatOlder":      edit("format", func(path string, _ []byte) error { return write(path, []byte("2")) }),
		"FormatMissing":    edit("format", func(path string, _ []byte) error { return os.Remove(path) }),
		"MetaMissing":      edit("index_meta.json", func(path string, _ []byte) error { return os.Remove(path) }),
		"MetaGarbage":      edit("index_meta.json", func(path string, _ []byte) error { return write(path, []byte("}{")) }),
		"RootMissing":      edit("store/root.bolt", func(path string, _ []byte) error { return os.Remove(path) }),
		"RootEmpty":        edit("store/root.bolt", func(path string, _ []byte) error { return write(path, nil) }),
		"RootGarbage":      edit("store/root.bolt", func(path string, c []byte) error { return write(path, make([]byte, len(c))) }),
		"RootTruncated":    edit("store/root.bolt", func(path string, c []byte) error { return write(path, c[:len(c)/2]) }),
		"SegmentMissing":   edit("store/*.zap", func(path string, _ []byte) error { return os.Remove(path) }),
		"SegmentEmpty":     edit("store/*.zap", func(path string, _ []byte) error { return write(path, nil) }),
		"SegmentShort":     edit("store/*.zap", func(path string, c []byte) error { return write(path, c[:3]) }),
		"SegmentTruncated": edit("store/*.zap", func(path string, c []byte) error { return write(path, c[:len(c)-9]) }),
		"SegmentLonger":    edit("store/*.zap", func(path string, c []byte) error { return write(path, append(c, 0)) }),
		"SegmentBegin":     edit("store/*.zap", flip(func(int) int { return 0 })),
		"SegmentMiddle":    edit("store/*.zap", flip(func(size int) int { return size / 2 })),
		"SegmentEnd":       edit("store/*.zap", flip(func(size int) int { return size - 12 })),
		"Remains": func(t *testing.T, dir string) { // of one whose removal was cut off
			require.NoError(t, os.RemoveAll(filepath.Join(dir, bleve.Folder, "store")))
			require.NoError(t, os.Remove(filepath.Join(dir, bleve.Folder, "format")))
		},
		"EmptyFolder": func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, bleve.Folder)))
			require.NoError(t, os.Mkdir(filepath.Join(dir, bleve.Folder), 0o700))
		},
		"Empty":   func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, bleve.Folder))) },
		"NoDir":   func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) },
		"Nothing": nil,
		"Stray": edit("store/*.zap", func(path string, c []byte) error { // of a write that a killed process had begun
			return write(filepath.Join(filepath.Dir(path), "00000000ffff.zap"), c[:len(c)/2])
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "copy")
			require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
			if damage != nil {
				damage(t, dir)
			}
			x := open(t, dir)
			found, _ := x.Position(1)
			sound := damage == nil || name == "Stray"
			if sound {
				require.Equal(t, position, found)
				require.Equal(t, 500, total(t, x, "company"))
			}
			if !sound && !strings.HasPrefix(name, "Root") { // which may hit what is left of older states
				require.Zero(t, found)
			}
			require.EqualValues(t, found*50, total(t, x, "company"), "position and packages belong together")
			require.Equal(t, found+1, fill(t, x, 1), "it can be filled")
			require.NoError(t, x.Close())
			x = open(t, dir)
			require.Equal(t, 50, total(t, x, lot(0)))
			require.NoError(t, x.Close())
		})
	}
}

// TestOthersFiles: what is no index of ours is left alone, and named.
func TestOthersFiles(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"search/precious.txt", "search/store/precious.txt", "search"} {
		t.Run(strings.ReplaceAll(file, "/", " "), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, filepath.FromSlash(file))
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
			_, err := bleve.Open(dir)
			require.ErrorContains(t, err, filepath.Join(dir, bleve.Folder)+" is not a search index")
			require.FileExists(t, path)
		})
	}
	dir := t.TempDir()
	theirs, older := filepath.Join(dir, bleve.Folder+"-1", "precious.txt"), filepath.Join(dir, bleve.Folder+"-2", "index_meta.json")
	for _, path := range []string{theirs, older} {
		require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	}
	require.NoError(t, open(t, dir).Close())
	require.FileExists(t, theirs)
	require.NoDirExists(t, filepath.Dir(older), "an index that an earlier version left")
	_, err := bleve.Open(theirs)
	require.ErrorContains(t, err, theirs+" is a file")
}

// TestDamagedInUse: what is destroyed under an open index is answered by an
// error at worst, and by a new index afterwards.
func TestDamagedInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := open(t, dir)
	defer func() { require.NoError(t, x.Close()) }()
	position := fill(t, x, 3)
	_, moved := x.Position(1)
	x.Damage()
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			hits, err := x.Search(t.Context(), search.Query{FeedID: 1, Text: "company"})
			if err == nil {
				require.Zero(t, hits, "of the new index")
			} else {
				require.ErrorIs(t, err, search.ErrRebuilding)
			}
		})
	}
	asking.Wait()
	<-moved
	found, _ := x.Position(1)
	require.Zero(t, found)
	d := document("late", "")
	require.ErrorIs(t, x.Update(t.Context(), 1, []search.Change{{Key: "late", Document: &d}}, position, position+1, ""), search.ErrRebuilding,
		"who has not noticed does not leave half an index")
	fill(t, x, 2)
	require.Equal(t, 100, total(t, x, "company"))
	x.Damage()
	require.ErrorIs(t, x.Update(t.Context(), 1, nil, 2, 3, ""), search.ErrRebuilding)
	fill(t, x, 1)
	require.Equal(t, 50, total(t, x, "company"))
}

// TestCopy: a copy of an index in use answers as the index did when it was made.
func TestCopy(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	defer func() { require.NoError(t, x.Close()) }()
	before := fill(t, x, 20)
	var filling sync.WaitGroup
	filling.Go(func() {
		for n := range int64(10) {
			d := document(fmt.Sprint("late", n), "A package of the company")
			require.NoError(t, x.Update(t.Context(), 1, []search.Change{{Key: d.Key, Document: &d}}, before+n, before+n+1, ""))
		}
	})
	place := t.TempDir()
	copied := filepath.Join(place, bleve.Folder)
	require.NoError(t, x.CopyTo(copied))
	filling.Wait()
	require.ErrorContains(t, x.CopyTo(copied), "not empty")

	y := open(t, place)
	position, _ := y.Position(1)
	require.GreaterOrEqual(t, position, before)
	all := int(before*50 + position - before)
	require.Equal(t, all, total(t, y, "company"), "position and packages belong together")
	require.Equal(t, all, total(t, y, ""))
	for n := range int(before) {
		require.Equal(t, 50, total(t, y, lot(n)))
	}
	require.NoError(t, y.Reset(t.Context(), 1))
	fill(t, y, 1)
	require.Equal(t, 50, total(t, y, "company"), "it can be gone on with")
	require.Equal(t, 20*50+10, total(t, x, "company"), "and is nobody else's")
	require.NoError(t, y.Close())
	format, err := os.ReadFile(filepath.Join(copied, "format"))
	require.NoError(t, err)
	require.Equal(t, bleve.Format, string(format))
}

func TestAfterClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := open(t, dir)
	fill(t, x, 1)
	require.NoError(t, x.Close())
	require.NoError(t, x.Close())
	require.ErrorContains(t, x.CopyTo(t.TempDir()), "closed")
	x = open(t, dir)
	require.Equal(t, 50, total(t, x, "company"), "nothing was discarded")
	require.NoError(t, x.Close())
}
