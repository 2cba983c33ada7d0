package catalog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

var dark = slog.New(slog.DiscardHandler)

// types has one feed type, whose packages are any bytes: the upload's name says
// "name@version".
var types = []feed.Type{{
	Name: "plain", NameKey: strings.ToLower, VersionKey: strings.ToLower, CompareVersions: strings.Compare,
	Inspect: func(_ context.Context, f feed.File) (*feed.Manifest, error) {
		name, version, _ := strings.Cut(f.Name, "@")
		return &feed.Manifest{Name: name, Version: version, FileName: url.PathEscape(f.Name)}, nil
	},
}}

// An installation has the feed "Main", and one publisher that is nobody's
// catalog's: what it writes comes from another server.
type installation struct {
	path      string
	blobs     *storage.Store
	db        *db.Store
	publisher *publish.Publisher
	feed      *proget.Feed
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{path: filepath.Join(t.TempDir(), "test.db"), feed: &proget.Feed{Name: "Main", Type: "plain", Active: true}}
	var err error
	in.blobs, err = storage.Open(t.Context(), "mem:", nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, in.blobs.Close()) })
	in.db = in.store(t)
	in.publisher = publish.New(in.db, storage.NewSet(in.blobs, nil), types, &publish.Options{Logger: dark})
	in.create(t, in.feed)
	return in
}

func (in *installation) store(t *testing.T) *db.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), in.path, &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (in *installation) create(t *testing.T, f *proget.Feed) {
	t.Helper()
	require.NoError(t, in.db.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), f) }))
}

// publish publishes "name@version" with a body of that text.
func (in *installation) publish(ctx context.Context, name string) (*proget.Version, error) {
	return in.publisher.Publish(ctx, feed.Upload{Feed: in.feed, Name: name, Body: strings.NewReader(name)})
}

// alter makes a change of the schema behind everyone's back.
func (in *installation) alter(t *testing.T, statement string) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+in.path)
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// A server is a catalog with its tail. The tail has a store of its own, so that
// the catalog's can be closed: what is served then was in memory.
type server struct {
	*catalog.Catalog
	store *db.Store
	tail  *indexing.Tail
	feed  *proget.Feed
}

func (in *installation) server(t *testing.T, opts *catalog.Options) *server {
	t.Helper()
	s := &server{store: in.store(t), feed: in.feed}
	s.Catalog = catalog.New(s.store, types, opts)
	s.tail = indexing.NewTail(in.store(t), &indexing.TailOptions{Logger: dark}, s.Catalog)
	t.Cleanup(s.tail.Close)
	return s
}

// read is what a request does.
func (s *server) read(ctx context.Context, nameKey string) (*feed.Package, error) {
	if err := s.tail.Sync(ctx); err != nil {
		return nil, err
	}
	return s.Package(ctx, s.feed, nameKey)
}

func keys(p *feed.Package) (all []string) {
	for _, v := range p.Versions {
		all = append(all, v.Key)
	}
	return all
}

func TestUnchangedPackageIsServedFromMemory(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s := in.server(t, nil)
	for _, name := range []string{"A@2", "A@1", "b@1"} {
		_, err := in.publish(t.Context(), name)
		require.NoError(t, err)
	}
	p, err := s.read(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, keys(p), "as the type compares them")
	_, err = s.read(t.Context(), "missing")
	require.ErrorIs(t, err, proget.ErrNotFound)
	_, err = s.read(t.Context(), "b")
	require.NoError(t, err)

	require.NoError(t, s.store.Close())
	again, err := s.read(t.Context(), "a")
	require.NoError(t, err, "the database is not asked")
	require.Same(t, p, again)
	_, err = s.read(t.Context(), "missing")
	require.ErrorIs(t, err, proget.ErrNotFound, "that it is missing is known, too")

	_, err = in.publish(t.Context(), "b@2")
	require.NoError(t, err)
	_, err = s.read(t.Context(), "a")
	require.NoError(t, err, "another package's change does not concern it")
	_, err = s.read(t.Context(), "b")
	require.Error(t, err, "what has changed must be read anew")
}

// TestReadsAreLinearizable: what one server has acknowledged is in the next
// answer of every other, also while many read and write.
func TestReadsAreLinearizable(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	servers := []*server{in.server(t, nil), in.server(t, nil)}
	ctx := t.Context()
	var all sync.WaitGroup
	errs := make([]error, 8)
	for n := range errs {
		all.Go(func() {
			name := fmt.Sprint("p", n%2) // several writers of one package
			for i := range 15 {
				v, err := in.publish(ctx, fmt.Sprintf("%s@%d-%d", name, n, i))
				if err != nil {
					errs[n] = err
					return
				}
				p, err := servers[i%2].read(ctx, name)
				if err == nil {
					_, err = p.Version(v.Key)
				}
				if err != nil {
					errs[n] = err
					return
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}

func TestEveryKindOfChangeIsSeen(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, nil), t.Context()
	_, err := s.read(ctx, "a")
	require.ErrorIs(t, err, proget.ErrNotFound)
	for _, name := range []string{"a@1", "a@2"} {
		_, err = in.publish(ctx, name)
		require.NoError(t, err)
	}
	p, err := s.read(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, keys(p))
	ref := feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "2"}
	require.NoError(t, in.publisher.SetStatus(ctx, ref, proget.Principal{}, func(st *proget.Status) { st.Listed = false }))
	p, err = s.read(ctx, "a")
	require.NoError(t, err)
	require.False(t, p.Versions[1].Status.Listed)
	for _, key := range []string{"2", "1"} {
		ref.VersionKey = key
		require.NoError(t, in.publisher.Delete(ctx, ref, proget.Principal{}))
	}
	_, err = s.read(ctx, "a")
	require.ErrorIs(t, err, proget.ErrNotFound)
}

// TestForgottenFeed: when a tail has lost count of a feed, nothing of it is
// served from memory, and everything of the others is.
func TestForgottenFeed(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	other := &proget.Feed{Name: "other", Type: "plain", Active: true}
	in.create(t, other)
	s, ctx := in.server(t, nil), t.Context()
	for _, f := range []*proget.Feed{in.feed, other} {
		_, err := in.publisher.Publish(ctx, feed.Upload{Feed: f, Name: "a@1", Body: strings.NewReader("")})
		require.NoError(t, err)
	}
	mine, err := s.Package(ctx, in.feed, "a")
	require.NoError(t, err)
	theirs, err := s.Package(ctx, other, "a")
	require.NoError(t, err)
	s.Applied(in.feed.ID, nil)
	again, err := s.Package(ctx, in.feed, "a")
	require.NoError(t, err)
	require.NotSame(t, mine, again)
	again, err = s.Package(ctx, other, "a")
	require.NoError(t, err)
	require.Same(t, theirs, again)
}

func TestDocumentsLiveAsLongAsThePackage(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, nil), t.Context()
	rendered := 0
	document := func(version string) *feed.Document {
		p, err := s.read(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, version, p.Versions[len(p.Versions)-1].Key)
		d, err := p.Document("index of http://example.com", "text/plain", func() ([]byte, error) {
			rendered++
			return []byte(version), nil
		})
		require.NoError(t, err)
		return d
	}
	_, err := in.publish(ctx, "a@1")
	require.NoError(t, err)
	require.Same(t, document("1"), document("1"))
	require.Equal(t, 1, rendered)
	_, err = in.publish(ctx, "a@2")
	require.NoError(t, err)
	document("2")
	require.Equal(t, 2, rendered, "a change makes the documents anew")
}

// TestMemoryIsBounded: packages make room for each other, with the documents
// that joined them later, and the one used last stays.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	const size, bound, packages = 10_000, 66_000, 12
	s, ctx := in.server(t, &catalog.Options{MaxBytes: bound}), t.Context()
	for n := range packages {
		name := fmt.Sprintf("p%02d", n)
		_, err := in.publish(ctx, name+"@1")
		require.NoError(t, err)
		p, err := s.Package(ctx, in.feed, name)
		require.NoError(t, err)
		_, err = p.Document("index", "text/plain", func() ([]byte, error) { return bytes.Repeat([]byte(rand.Text()), size/26), nil })
		require.NoError(t, err)
		_, err = p.Document("noise", "text/plain", func() ([]byte, error) {
			noise := make([]byte, size)
			_, _ = rand.Read(noise) // cannot be compressed
			return noise, nil
		})
		require.NoError(t, err)
		_, err = s.Package(ctx, in.feed, name) // the next request
		require.NoError(t, err)
	}
	require.NoError(t, s.store.Close())
	var kept []int
	for n := packages - 1; n >= 0; n-- {
		if p, err := s.Package(ctx, in.feed, fmt.Sprintf("p%02d", n)); err == nil {
			require.Greater(t, p.Bytes(), int64(2*size-26))
			kept = append(kept, n)
		}
	}
	require.Equal(t, []int{11, 10}, kept, "two of 20 kB each and something leave no room for a third")
}

// TestInventedHosts: a stranger who invents host names fills no memory, and does not
// keep out the documents of those who use the true one.
func TestInventedHosts(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	_, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	for _, try := range []struct {
		hosts, size int
		bound       int64
	}{
		{600, 100, 256 * 1000},    // many are kept,
		{50, 100_000, 1 << 20},    // few,
		{4, 1_500_000, 1_600_000}, // and one for which there is no room
	} {
		p, err := in.server(t, &catalog.Options{MaxBytes: 1 << 20}).Package(t.Context(), in.feed, "a")
		require.NoError(t, err)
		made := 0
		document := func(host string) {
			_, err := p.Document(host, "text/plain", func() ([]byte, error) {
				if host == "true" {
					made++
				}
				return make([]byte, try.size), nil
			})
			require.NoError(t, err)
		}
		for n := range try.hosts {
			document(fmt.Sprint("host ", n))
			require.LessOrEqual(t, p.Documents.Bytes(), try.bound)
			if n >= try.hosts/2 && try.hosts > 4 {
				document("true")
			}
		}
		require.LessOrEqual(t, made, 1)
	}
}

// TestInventedNames: a stranger who asks for long names fills no memory.
func TestInventedNames(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s := in.server(t, nil)
	_, err := s.Package(t.Context(), in.feed, strings.Repeat("ä", 400))
	require.ErrorIs(t, err, proget.ErrNotFound)
	require.NoError(t, s.store.Close())
	_, err = s.Package(t.Context(), in.feed, strings.Repeat("ä", 400))
	require.ErrorIs(t, err, proget.ErrNotFound, "it was kept")
	_, err = s.Package(t.Context(), in.feed, strings.Repeat("x", 60_000))
	require.ErrorIs(t, err, proget.ErrNotFound, "nobody asked the database")
	require.Less(t, len(proget.Message(err)), 200)
}

// TestFailuresAreNotKept: after an outage the next read asks again.
func TestFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, nil), t.Context()
	_, err := in.publish(ctx, "a@1")
	require.NoError(t, err)
	in.alter(t, "ALTER TABLE package_file RENAME TO away")
	_, err = s.Package(ctx, in.feed, "a")
	require.Error(t, err)
	require.NotErrorIs(t, err, proget.ErrNotFound)
	in.alter(t, "ALTER TABLE away RENAME TO package_file")
	_, err = s.Package(ctx, in.feed, "a")
	require.NoError(t, err)

	in.alter(t, "ALTER TABLE feed RENAME TO away")
	_, err = s.Feed(ctx, "main")
	require.Error(t, err)
	require.NotErrorIs(t, err, proget.ErrNotFound)
	in.alter(t, "ALTER TABLE away RENAME TO feed")
	_, err = s.Feed(ctx, "main")
	require.NoError(t, err)
}

// TestImpatientCaller: a load belongs to all who wait for it, so that a caller
// who goes away does not take it down.
func TestImpatientCaller(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s := in.server(t, nil)
	_, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	p, err := s.Package(gone, in.feed, "a")
	require.NoError(t, err)
	again, err := s.Package(t.Context(), in.feed, "a")
	require.NoError(t, err)
	require.Same(t, p, again)
	_, err = s.Feed(gone, "main")
	require.NoError(t, err)
}

func TestFeeds(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, nil), t.Context()
	require.NoError(t, s.tail.Sync(ctx))
	f, err := s.Feed(ctx, "mAIN")
	require.NoError(t, err)
	require.Equal(t, in.feed.ID, f.ID)
	_, err = s.Feed(ctx, "new")
	require.ErrorIs(t, err, proget.ErrNotFound)

	in.create(t, &proget.Feed{Name: "new", Type: "plain", Active: true})
	in.create(t, &proget.Feed{Name: "Closed", Type: "plain"})
	require.NoError(t, s.tail.Sync(ctx))
	_, err = s.Feed(ctx, "new")
	require.NoError(t, err)
	_, err = s.Feed(ctx, "closed")
	require.ErrorIs(t, err, proget.ErrNotFound, "inactive")
	require.NoError(t, s.store.Close())
	all, err := s.Feeds(ctx)
	require.NoError(t, err, "from memory")
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
	}
	require.ElementsMatch(t, []string{"Main", "new", "Closed"}, names)
}

func TestList(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, nil), t.Context()
	for _, name := range []string{"C@1", "a@1", "d@1", "B@1"} {
		_, err := in.publish(ctx, name)
		require.NoError(t, err)
	}
	var names []string
	for after := ""; ; {
		page, err := s.List(ctx, in.feed, after, 3)
		require.NoError(t, err)
		for _, p := range page {
			names = append(names, p.Name)
		}
		if len(page) < 3 {
			break
		}
		after = page[2].Key
	}
	require.Equal(t, []string{"a", "B", "C", "d"}, names)
}

// TestNames: names are answered from memory until their feed changes.
func TestNames(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s := in.server(t, nil)
	keys := func(after string, limit int) (keys []string) {
		t.Helper()
		require.NoError(t, s.tail.Sync(t.Context()))
		names, err := s.Names(t.Context(), in.feed, after, limit)
		require.NoError(t, err)
		for _, n := range names {
			keys = append(keys, n.Key+"="+n.Name)
		}
		return keys
	}
	require.Empty(t, keys("", 1))
	for _, name := range []string{"B@1", "A@1"} {
		_, err := in.publish(t.Context(), name)
		require.NoError(t, err)
		require.Contains(t, keys("", 2), strings.ToLower(name[:1])+"="+name[:1])
	}
	require.Equal(t, []string{"b=B"}, keys("a", 1))
	require.Empty(t, keys("b", 1))
	names, err := s.Names(t.Context(), in.feed, "", 2)
	require.NoError(t, err)
	names[0].Key = "changed by the caller"

	require.NoError(t, s.store.Close())
	require.Equal(t, []string{"a=A", "b=B"}, keys("", 2))
	require.Equal(t, []string{"b=B"}, keys("a", 1))
	require.Empty(t, keys("b", 1))
	require.NoError(t, in.publisher.Delete(t.Context(), feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}, proget.Principal{User: "ann"}))
	require.NoError(t, s.tail.Sync(t.Context()))
	_, err = s.Names(t.Context(), in.feed, "", 2)
	require.ErrorIs(t, err, db.ErrClosed, "it must be asked again")
}

func TestUnknownType(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	_, err := in.server(t, nil).Package(t.Context(), &proget.Feed{ID: in.feed.ID, Name: "x", Type: "unknown"}, "a")
	require.ErrorContains(t, err, "unknown")
	require.Empty(t, proget.Message(err))
}

// TestAged: what no log tells of is read again now and then, and what was there is
// served on if that fails.
func TestAged(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s, ctx := in.server(t, &catalog.Options{MaxAge: time.Nanosecond}), t.Context()
	_, err := in.publish(ctx, "a@1")
	require.NoError(t, err)
	p, err := s.read(ctx, "a")
	require.NoError(t, err)
	require.Zero(t, p.Versions[0].Downloads)
	require.NoError(t, in.db.AddDownloads(ctx, time.Now(), map[int64]int64{p.Versions[0].ID: 3}))
	p, err = s.Package(ctx, in.feed, "a")
	require.NoError(t, err)
	require.EqualValues(t, 3, p.Versions[0].Downloads)
	require.NoError(t, s.store.Close())
	again, err := s.Package(ctx, in.feed, "a")
	require.NoError(t, err)
	require.Same(t, p, again)
}

// TestTypePanics: a type that panics at a package keeps nobody waiting.
func TestTypePanics(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	for _, name := range []string{"a@1", "a@2"} {
		_, err := in.publish(t.Context(), name)
		require.NoError(t, err)
	}
	bad := slices.Clone(types)
	bad[0].CompareVersions = func(string, string) int { panic("out of order") }
	c := catalog.New(in.store(t), bad, nil)
	for range 2 {
		_, err := c.Package(t.Context(), in.feed, "a")
		require.ErrorAs(t, err, new(*indexing.PanicError))
	}
}
