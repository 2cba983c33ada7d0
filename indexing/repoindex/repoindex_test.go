package repoindex_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

const office = "test"

// An installation is a database and a folder with one feed.
type installation struct {
	folder string
	db     *db.Store
	files  *repoindex.Files
	feed   *proget.Feed
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{folder: filepath.Join(t.TempDir(), "packages"), feed: &proget.Feed{Name: "main", Type: "plain", Active: true}}
	var err error
	in.db, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), &db.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	blobs, err := storage.OpenFolder(in.folder, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, blobs.Close())
		require.NoError(t, in.db.Close())
	})
	in.files = repoindex.NewFiles(in.db, storage.NewSet(blobs, nil))
	in.change(t, proget.SystemFeed, "", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), in.feed) })
	return in
}

// change appends to a feed's log.
func (in *installation) change(t *testing.T, feed int64, key string, fn func(*db.Tx) error) {
	t.Helper()
	_, err := in.db.Change(t.Context(), &db.Change{FeedID: feed, Operation: rand.Text(), Kind: proget.VersionPublished, PackageKey: key}, fn)
	require.NoError(t, err)
}

func (in *installation) push(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		in.change(t, in.feed.ID, key, func(*db.Tx) error { return nil })
	}
}

func (in *installation) lead(t *testing.T, holder string) proget.Fence {
	t.Helper()
	fence, ok, err := in.db.AcquireLease(t.Context(), db.LeaseRequest{Office: office, Holder: holder, Term: rand.Text(), TTL: time.Millisecond})
	require.NoError(t, err)
	require.True(t, ok)
	return fence
}

func (in *installation) read(t *testing.T, name string, generation int64) (string, error) {
	t.Helper()
	f, err := in.files.Open(t.Context(), in.feed.ID, "list", name, generation)
	if err != nil {
		return "", err
	}
	defer func() { require.NoError(t, f.Close()) }()
	text, err := io.ReadAll(f)
	return string(text), err
}

// publish makes a generation the present one.
func (in *installation) publish(t *testing.T, after int64, g *repoindex.Generation) error {
	t.Helper()
	sw, err := in.files.Store(t.Context(), in.feed.ID, "list", after, g)
	require.NoError(t, err)
	return in.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.SwitchIndex(t.Context(), sw) })
}

func text(name, object, content string) repoindex.File {
	return repoindex.File{Name: name, Object: object, Body: strings.NewReader(content)}
}

// TestGenerations: files that share an object are told apart, a generation is
// whole or not there, and a former one can be read to its end.
func TestGenerations(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	require.NoError(t, in.publish(t, 0, &repoindex.Generation{Files: []repoindex.File{
		text("a", "x", "first a"), text("empty", "x", ""), text("b", "x", "first b"), text("c", "", "first c"), text("d", "", "first d")}}))
	for name, want := range map[string]string{"a": "first a", "b": "first b", "c": "first c", "d": "first d", "empty": ""} {
		got, err := in.read(t, name, db.Present)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	objects := in.objects(t)
	require.Len(t, objects, 3)
	_, err := in.files.Store(t.Context(), in.feed.ID, "list", 1, &repoindex.Generation{Files: []repoindex.File{text(strings.Repeat("n", repoindex.MaxName+1), "", "")}})
	require.ErrorContains(t, err, "has 351 bytes", "no database may refuse what another keeps")
	require.Len(t, in.objects(t), 3)

	require.NoError(t, in.publish(t, 1, &repoindex.Generation{Ended: []string{"a", "b"}, Files: []repoindex.File{text("a", "", "second a")}}))
	require.ErrorIs(t, in.publish(t, 1, &repoindex.Generation{Ended: []string{"a"}, Files: []repoindex.File{text("a", "", "late")}}), proget.ErrConflict)
	got, err := in.read(t, "a", db.Present)
	require.NoError(t, err)
	require.Equal(t, "second a", got)
	_, err = in.read(t, "b", db.Present)
	require.ErrorIs(t, err, proget.ErrNotFound)
	got, err = in.read(t, "b", 1)
	require.NoError(t, err)
	require.Equal(t, "first b", got)

	for _, o := range objects {
		require.NoError(t, os.WriteFile(o, []byte("FIRST AFIRST BFIRST CFIRST D")[:min(14, fileSize(t, o))], 0o600))
	}
	_, err = in.read(t, "c", db.Present)
	require.ErrorIs(t, err, storage.ErrDamaged)
	_, err = in.files.Read(t.Context(), in.feed.ID, "list", "d")
	require.ErrorIs(t, err, storage.ErrDamaged)
	require.NoError(t, os.Truncate(objects[0], 2))
	require.NoError(t, os.Truncate(objects[1], 2))
	require.NoError(t, os.Truncate(objects[2], 2))
	_, err = in.read(t, "c", db.Present)
	require.ErrorIs(t, err, storage.ErrDamaged)
}

// objects returns the stored files.
func (in *installation) objects(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(in.folder, storage.BlobPrefix, "*", "*", "*"))
	require.NoError(t, err)
	return found
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

// A lister builds a file that names the keys of all changes, and one for each.
type lister struct {
	in    *installation
	parts int // in which a rebuild is made

	unreadable bool // nothing can be built
	halves     bool // a rebuild under way cannot be gone on with

	calls []string
	fail  error
}

func (l *lister) index(every time.Duration) repoindex.Index {
	return repoindex.Index{Kind: "list", Every: every, Build: l.build}
}

func (l *lister) indexer(every time.Duration) *repoindex.Indexer {
	return repoindex.NewIndexer(l.in.files, office, l.index(every), func(context.Context) ([]*proget.Feed, error) {
		return []*proget.Feed{l.in.feed}, nil
	})
}

func (l *lister) build(_ context.Context, b *repoindex.Build) (*repoindex.Generation, error) {
	if l.fail != nil {
		return nil, l.fail
	}
	if l.unreadable || l.halves && b.State == "1 to go" {
		l.halves = false
		return nil, repoindex.ErrRebuild
	}
	g := &repoindex.Generation{State: "caught up"}
	if b.Entries == nil {
		l.calls = append(l.calls, "rebuild "+b.State)
		if b.State == "" {
			l.parts = 3
			g.Files = []repoindex.File{text("all", "", "rebuilt")}
		}
		if l.parts--; l.parts > 0 {
			g.State, g.More = fmt.Sprint(l.parts, " to go"), true
		}
		return g, nil
	}
	old, err := b.Read("all")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", repoindex.ErrRebuild, err)
	}
	call := ""
	for _, e := range b.Entries {
		if e.PackageKey == "unimportant" {
			return nil, nil
		}
		call += " " + e.PackageKey
	}
	l.calls = append(l.calls, "add"+call)
	g.Ended = []string{"all"}
	g.Files = []repoindex.File{text("all", "", string(old)+call)}
	return g, nil
}

// TestIndexer: what there is, in parts, then what happens; each once, also when
// another leads meanwhile.
func TestIndexer(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	l := &lister{in: in}
	x := l.indexer(0)
	fence := in.lead(t, "first")
	catchUp := func(x *repoindex.Indexer, fence proget.Fence) error {
		l.calls = nil
		heads, err := in.db.Heads(t.Context())
		require.NoError(t, err)
		return x.CatchUp(t.Context(), fence, heads)
	}
	require.NoError(t, catchUp(x, fence))
	require.Empty(t, l.calls, "an empty feed has nothing to index")
	in.push(t, "a", "b")
	require.NoError(t, catchUp(x, fence))
	require.Equal(t, []string{"rebuild ", "rebuild 2 to go", "rebuild 1 to go"}, l.calls)
	in.push(t, "c", "d")
	require.NoError(t, catchUp(x, fence))
	require.Equal(t, []string{"add c d"}, l.calls)
	in.push(t, "unimportant")
	require.NoError(t, catchUp(x, fence))
	require.NoError(t, catchUp(x, fence))
	require.Empty(t, l.calls)

	in.push(t, "e")
	second := in.lead(t, "second")
	require.NoError(t, catchUp(l.indexer(0), second))
	in.push(t, "f")
	require.ErrorIs(t, catchUp(x, fence), proget.ErrStale, "a former leader changes nothing")
	require.NoError(t, catchUp(l.indexer(0), second))
	got, err := in.read(t, "all", db.Present)
	require.NoError(t, err)
	require.Equal(t, "rebuilt c d e f", got)

	_, err = in.db.CompactLog(t.Context(), in.feed.ID, 1, 7, -time.Hour)
	require.NoError(t, err)
	in.push(t, "g", "h")
	_, err = in.db.CompactLog(t.Context(), in.feed.ID, 1, 8, -time.Hour)
	require.NoError(t, err)
	require.NoError(t, catchUp(l.indexer(0), second))
	require.Equal(t, "rebuild ", l.calls[0], "the log does not tell what has happened")
	got, err = in.read(t, "all", db.Present)
	require.NoError(t, err)
	require.Equal(t, "rebuilt", got)
}

// TestIndexerGoesOn: a rebuild that ends early is gone on with, by whoever leads
// then; an index that cannot be read is built anew; a failure changes nothing.
func TestIndexerGoesOn(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	l := &lister{in: in}
	fence := in.lead(t, "first")
	catchUp := func() error {
		heads, err := in.db.Heads(t.Context())
		require.NoError(t, err)
		return l.indexer(0).CatchUp(t.Context(), fence, heads)
	}
	in.push(t, "a")
	broken := errors.New("no space")
	l.fail = broken
	require.ErrorIs(t, catchUp(), broken)
	l.fail = nil
	require.NoError(t, in.publish(t, 0, &repoindex.Generation{State: `{"rebuilding": true, "from": 1, "state": "2 to go"}`, Files: []repoindex.File{text("all", "", "half")}}))
	l.parts = 2
	require.NoError(t, catchUp())
	require.Equal(t, []string{"rebuild 2 to go", "rebuild 1 to go"}, l.calls)

	for _, f := range in.objects(t) {
		require.NoError(t, os.Remove(f))
	}
	in.push(t, "b")
	l.calls, l.unreadable = nil, true
	require.ErrorIs(t, catchUp(), repoindex.ErrRebuild, "not even a new one can be begun")
	head, err := in.db.FindIndex(t.Context(), in.feed.ID, "list")
	require.NoError(t, err)
	require.NoError(t, in.publish(t, head.Generation, &repoindex.Generation{State: `{"rebuilding": true, "from": 1, "state": "1 to go"}`, Files: []repoindex.File{text("half", "", "half")}}))
	l.calls, l.unreadable = nil, false
	l.halves = true
	require.NoError(t, catchUp())
	require.Equal(t, []string{"rebuild ", "rebuild 2 to go", "rebuild 1 to go"}, l.calls)
}

// TestRebuildMissesNothing: a rebuild takes up what the log had when the feed was last
// read, not what was added since, which what it is built from need not show.
func TestRebuildMissesNothing(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	l := &lister{in: in}
	x, fence := l.indexer(0), in.lead(t, "first")
	in.push(t, "a")
	heads, err := in.db.Heads(t.Context())
	require.NoError(t, err)
	in.push(t, "b", "c")
	require.NoError(t, x.CatchUp(t.Context(), fence, heads))
	require.Equal(t, []string{"rebuild ", "rebuild 2 to go", "rebuild 1 to go"}, l.calls)
	heads, err = in.db.Heads(t.Context())
	require.NoError(t, err)
	require.NoError(t, x.CatchUp(t.Context(), fence, heads))
	require.Equal(t, "add b c", l.calls[len(l.calls)-1])

	in.push(t, "d")
	heads, err = in.db.Heads(t.Context())
	require.NoError(t, err)
	in.push(t, "e")
	present, err := in.db.FindIndex(t.Context(), in.feed.ID, "list")
	require.NoError(t, err)
	require.NoError(t, in.publish(t, present.Generation, &repoindex.Generation{State: `{"rebuilding": true, "from": 5, "state": "1 to go"}`}))
	l.parts = 1
	require.NoError(t, x.CatchUp(t.Context(), fence, heads))
	require.Equal(t, "rebuild 1 to go", l.calls[len(l.calls)-1], "a former leader began it, who had read more")
	heads, err = in.db.Heads(t.Context())
	require.NoError(t, err)
	require.NoError(t, x.CatchUp(t.Context(), fence, heads))
	require.Equal(t, "add e", l.calls[len(l.calls)-1])
}

// TestCoalesced: what happens in quick succession goes into one generation.
func TestCoalesced(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	l := &lister{in: in}
	fence := in.lead(t, "first")
	x := l.indexer(time.Hour)
	for _, key := range []string{"a", "b", "c"} {
		in.push(t, key)
		heads, err := in.db.Heads(t.Context())
		require.NoError(t, err)
		require.NoError(t, x.CatchUp(t.Context(), fence, heads))
	}
	head, err := in.db.FindIndex(t.Context(), in.feed.ID, "list")
	require.NoError(t, err)
	require.EqualValues(t, 3, head.Generation, "the three parts of the rebuild")
	heads, err := in.db.Heads(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.indexer(time.Hour).CatchUp(t.Context(), fence, heads))
	require.Equal(t, "add b c", l.calls[len(l.calls)-1])
}
