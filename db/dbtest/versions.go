package dbtest

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

func testPublish(t *testing.T, open Open) {
	a, b, ctx := open(t), open(t), t.Context()
	id := newFeed(t, a, "Main")
	v := version(1)
	v.Files[0].Digests[proget.SHA512] = "ab"
	v.Prerelease = true
	seq, err := publish(ctx, a, id, "op", v)
	require.NoError(t, err)
	require.EqualValues(t, 1, seq)

	heads, err := b.Heads(ctx)
	require.NoError(t, err)
	require.Equal(t, map[int64]int64{0: 1, id: 1}, heads)
	empty := newFeed(t, a, "empty")
	newest, err := b.NewestEntries(ctx)
	require.NoError(t, err)
	require.Len(t, newest, 3)
	require.Contains(t, newest, proget.Entry{FeedID: id, Seq: 1, Operation: "op"})
	require.Contains(t, newest, proget.Entry{FeedID: empty})
	p, err := b.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Equal(t, "Acme.Lib", p.Name)
	require.Len(t, p.Versions, 1)
	require.Equal(t, v, p.Versions[0], "another node reads what was recorded")
	keys, err := b.ListPackageKeys(ctx, id, "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"acme.lib"}, keys)
	keys, err = b.ListPackageKeys(ctx, id, "acme.lib", 10)
	require.NoError(t, err)
	require.Empty(t, keys)
	keys, names, err := b.ListPackageNames(ctx, id, "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"acme.lib", "Acme.Lib"}, append(keys, names...))
	require.NoError(t, a.AddDownloads(ctx, time.Now(), map[int64]int64{v.ID: 3}))
	p, err = b.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.EqualValues(t, 3, p.Versions[0].Downloads)
}

func testConflict(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "one", version(1))
	require.NoError(t, err)
	_, err = publish(ctx, s, id, "two", version(1))
	require.ErrorIs(t, err, proget.ErrConflict)
	heads, err := s.Heads(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, heads[id], "a refused version leaves no trace in the log")
}

func testStatus(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "one", version(1))
	require.NoError(t, err)
	want := proget.Status{Deprecated: "too old", Blocked: true}
	_, err = s.Change(ctx, &db.Change{FeedID: id, Operation: "two", Kind: proget.VersionStatus}, func(tx *db.Tx) error {
		v, err := tx.FindVersion(ctx, id, "acme.lib", "1.0.1")
		require.NoError(t, err)
		require.True(t, v.Status.Listed)
		return tx.SetStatus(ctx, v.ID, want)
	})
	require.NoError(t, err)
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Equal(t, want, p.Versions[0].Status)
}

// testTags: a tag points at one version, moves, goes with its version and is
// made once, however many make it at a time.
// testWide: a version with many files and many tags is loaded while a client waits, which
// it is not if each of its tags is read with each of its files.
func testFindPackages(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id, other := newFeed(t, s, "main"), newFeed(t, s, "other")
	add := func(feed int64, key string, n int, prerelease, listed bool) {
		v := version(n)
		v.Prerelease = prerelease
		ch := &db.Change{FeedID: feed, Operation: fmt.Sprint(feed, key, n), Kind: proget.VersionPublished, PackageKey: key}
		_, err := s.Change(ctx, ch, func(tx *db.Tx) error {
			if _, err := tx.AddVersion(ctx, feed, key, v, nil, nil); err != nil {
				return err
			}
			return tx.SetStatus(ctx, v.ID, proget.Status{Listed: listed})
		})
		require.NoError(t, err)
	}
	add(id, "acme.json", 1, false, true)
	add(id, "acme.json", 2, true, true)
	add(id, "acme.hidden", 3, false, false)
	add(id, "acme.new", 4, true, true)
	add(id, "json", 5, false, true)
	add(id, "json_net", 6, false, true)
	add(id, "json-100%[net]\\", 7, false, true)
	add(other, "json.other", 8, false, true)
	keeps := newFeed(t, s, "keeps") // the case of its keys
	for n, key := range []string{"Acme.B", "acme.a", "com.acme:HikariCP", "größe.X", "_"} {
		add(keeps, key, 10+n, false, true)
	}
	for _, c := range []struct {
		q     db.PackageQuery
		total int
		keys  []string
	}{
		{db.PackageQuery{Limit: 9}, 4, []string{"acme.json", "json", "json-100%[net]\\", "json_net"}},
		{db.PackageQuery{Limit: 9, Prefix: "acme.", Prerelease: true}, 2, []string{"acme.json", "acme.new"}},
		{db.PackageQuery{Limit: 9, Parts: []string{"json"}, Exact: "json"}, 4, []string{"json", "acme.json", "json-100%[net]\\", "json_net"}},
		{db.PackageQuery{Limit: 2, Skip: 1, Parts: []string{"json"}, Exact: "json"}, 4, []string{"acme.json", "json-100%[net]\\"}},
		{db.PackageQuery{Limit: 9, Skip: 9}, 4, nil},
		{db.PackageQuery{Limit: 9, Parts: []string{"json", "net"}}, 2, []string{"json-100%[net]\\", "json_net"}},
		{db.PackageQuery{Limit: 9, Parts: []string{"_"}}, 1, []string{"json_net"}},
		{db.PackageQuery{Limit: 9, Parts: []string{"%[", `\`}}, 1, []string{"json-100%[net]\\"}},
		{db.PackageQuery{Limit: 9, Prefix: "%"}, 0, nil},
		{db.PackageQuery{Limit: 9, Exact: "json", Whole: true}, 1, []string{"json"}},
		{db.PackageQuery{Limit: 9, Exact: "json%", Whole: true}, 0, nil},
		{db.PackageQuery{FeedID: keeps, Limit: 9}, 5, []string{"Acme.B", "_", "acme.a", "com.acme:HikariCP", "größe.X"}},
		{db.PackageQuery{FeedID: keeps, Limit: 9, Prefix: "acme."}, 2, []string{"Acme.B", "acme.a"}},
		{db.PackageQuery{FeedID: keeps, Limit: 9, Parts: []string{"hikari", "cp"}}, 1, []string{"com.acme:HikariCP"}},
		{db.PackageQuery{FeedID: keeps, Limit: 9, Parts: []string{"acme"}, Exact: "com.acme:hikaricp"}, 3, []string{"com.acme:HikariCP", "Acme.B", "acme.a"}},
		{db.PackageQuery{FeedID: keeps, Limit: 9, Exact: "acme.b", Whole: true}, 1, []string{"Acme.B"}},
		{db.PackageQuery{FeedID: keeps, Limit: 9, Exact: "_", Whole: true}, 1, []string{"_"}},
		{db.PackageQuery{FeedID: keeps, Limit: 9, Prefix: "größe.x"}, 1, []string{"größe.X"}},
	} {
		if c.q.FeedID == 0 {
			c.q.FeedID = id
		}
		keys, total, err := s.FindPackages(ctx, c.q)
		require.NoError(t, err)
		require.Equal(t, c.total, total, "%+v", c.q)
		require.ElementsMatch(t, c.keys, keys, "%+v", c.q)
		if len(keys) > 0 && c.q.Exact != "" && c.q.Skip == 0 {
			require.Equal(t, c.q.Exact, strings.ToLower(keys[0]))
		}
	}
	keys, _, err := s.FindPackages(ctx, db.PackageQuery{FeedID: keeps, Limit: 2, Prefix: "acme"})
	require.NoError(t, err)
	require.Equal(t, []string{"acme.a", "Acme.B"}, keys, "in order, whatever their case")
}

func testDelete(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	for n := range 2 {
		_, err := publish(ctx, s, id, fmt.Sprint(n), version(n))
		require.NoError(t, err)
	}
	for n, lastExpected := range []bool{false, true} {
		_, err := s.Change(ctx, &db.Change{FeedID: id, Operation: fmt.Sprint("delete", n), Kind: proget.VersionDeleted}, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", version(n).Key)
			if err != nil {
				return err
			}
			bytes, last, err := tx.DeleteVersion(ctx, v, "tester")
			require.EqualValues(t, 100, bytes)
			require.Equal(t, lastExpected, last)
			return err
		})
		require.NoError(t, err)
	}
	_, err := s.LoadPackage(ctx, id, "acme.lib")
	require.ErrorIs(t, err, proget.ErrNotFound)
	_, err = publish(ctx, s, id, "again", version(0))
	require.NoError(t, err, "a deleted version may be published again")
}

// testDeleteAtOnce: of two transactions that delete the last two versions of a package at
// once, one removes the package.
func testDeleteAtOnce(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	for n := range 2 {
		_, err := publish(ctx, s, id, fmt.Sprint(n), version(n))
		require.NoError(t, err)
	}
	var last [2]bool
	remove := func(n int, deleted func()) error {
		_, err := s.Change(ctx, &db.Change{FeedID: id, Operation: fmt.Sprint("delete", n), Kind: proget.VersionDeleted}, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", version(n).Key)
			if err == nil {
				_, last[n], err = tx.DeleteVersion(ctx, v, "tester")
			}
			deleted()
			return err
		})
		return err
	}
	other := make(chan error, 1)
	begin := sync.OnceFunc(func() { go func() { other <- remove(1, func() {}) }() })
	require.NoError(t, remove(0, func() {
		begin()
		select {
		case err := <-other: // it waited for nothing
			other <- err
		case <-time.After(300 * time.Millisecond): // it waits for this transaction
		}
	}))
	require.NoError(t, <-other)
	require.NotEqual(t, last[0], last[1])
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		has, err := tx.HasPackage(ctx, id, "acme.lib")
		require.False(t, has, "a package without versions")
		return err
	}))
}

// testKnownUpload: what was found before a transaction is used, and is not
// believed once it proves out of date.
func testKnownUpload(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	find := func(v *proget.Version) *db.Upload {
		known, err := s.FindUpload(ctx, id, "acme.lib", v.Files[0])
		require.NoError(t, err)
		return known
	}
	one := version(1)
	nothing := find(one)
	require.Zero(t, nothing.PackageID)
	require.Zero(t, nothing.Blob)
	_, err := publishKnown(ctx, s, id, "one", one, nothing)
	require.NoError(t, err)

	two := version(2)
	two.Files[0].Digests = one.Files[0].Digests
	known := find(two)
	require.Equal(t, one.PackageID, known.PackageID)
	require.Equal(t, "blobs/1", known.Blob.StorageKey)
	require.EqualValues(t, 100, known.Blob.Size)
	_, err = publishKnown(ctx, s, id, "two", two, known)
	require.NoError(t, err)
	require.Equal(t, "blobs/1", two.Files[0].StorageKey)
	mending := version(5)
	mending.Files[0].Digests = one.Files[0].Digests
	known.Mend = true
	_, err = publishKnown(ctx, s, id, "five", mending, known)
	require.NoError(t, err)
	require.Equal(t, "blobs/5", mending.Files[0].StorageKey)
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	for _, v := range p.Versions {
		require.Equal(t, "blobs/5", v.Files[0].StorageKey, "of all who refer to the blob")
	}
	_, err = publishKnown(ctx, s, id, "three", version(3), nothing)
	require.NoError(t, err, "the package was created meanwhile")
	_, err = publishKnown(ctx, s, id, "conflict", version(2), known)
	require.ErrorIs(t, err, proget.ErrConflict)

	for _, n := range []int{1, 2, 3, 5} {
		_, err := s.Change(ctx, &db.Change{FeedID: id, Operation: fmt.Sprint("delete", n), Kind: proget.VersionDeleted}, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", version(n).Key)
			if err != nil {
				return err
			}
			_, _, err = tx.DeleteVersion(ctx, v, "tester")
			return err
		})
		require.NoError(t, err)
	}
	other := newFeed(t, s, "other")
	_, err = publish(ctx, s, other, "other", version(1))
	require.NoError(t, err)
	_, err = publishKnown(ctx, s, id, "four", version(4), known)
	require.NoError(t, err, "the package was deleted meanwhile, and one of another feed was made")
	p, err = s.LoadPackage(ctx, other, "acme.lib")
	require.NoError(t, err)
	require.Len(t, p.Versions, 1, "which is another one")
	p, err = s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Len(t, p.Versions, 1)
}

func testDeduplicate(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	one, two := version(1), version(2)
	two.Files[0].Digests = proget.Digests{proget.SHA256: one.Files[0].Digests[proget.SHA256], proget.SHA1: "cd"}
	for n, v := range []*proget.Version{one, two} {
		_, err := publish(ctx, s, id, fmt.Sprint(n), v)
		require.NoError(t, err)
	}
	require.Equal(t, "blobs/1", two.Files[0].StorageKey, "the blob that is there is used")
	count, bytes, err := s.CountBlobs(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, count)
	require.EqualValues(t, 100, bytes)
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Equal(t, "cd", p.Versions[0].Files[0].Digests[proget.SHA1], "digests that were missing are added")

	blob, err := s.FindBlob(ctx, 0, one.Files[0].Digests[proget.SHA256], 100)
	require.NoError(t, err)
	require.Equal(t, "blobs/1", blob.StorageKey)
	_, err = s.FindBlob(ctx, 0, one.Files[0].Digests[proget.SHA256], 101)
	require.ErrorIs(t, err, proget.ErrNotFound)
	blobs, err := s.ListBlobs(ctx, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []db.BlobRow{blob}, blobs)
	versions, err := s.BlobVersions(ctx, blob.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"main/Acme.Lib 1.0.1", "main/Acme.Lib 1.0.2"}, versions)
}

// testLogOrder: while 64 writers publish, a reader never sees a gap or an
// entry appear behind one that it has seen.
func testLogOrder(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	const writers, each = 64, 3
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				v := version(w*each + n)
				_, err := publish(ctx, s, id, fmt.Sprint("op", v.Key), v)
				require.NoError(t, err)
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	var seen int64
	for finished := false; ; {
		entries, err := s.LogAfter(ctx, id, seen, 1000)
		require.NoError(t, err)
		for _, e := range entries {
			require.Equal(t, seen+1, e.Seq)
			seen = e.Seq
		}
		if finished {
			break
		}
		select {
		case <-done:
			finished = true
		default:
		}
	}
	require.EqualValues(t, writers*each, seen)
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Len(t, p.Versions, writers*each)
}

// testCheck: what a change's check sees is all that comes before it. Of two that
// refuse each other one is made.
func testCheck(t *testing.T, open Open) {
	s, other, ctx := open(t), open(t), t.Context()
	id := newFeed(t, s, "main")
	taken := errors.New("taken")
	var files atomic.Int64
	add := func(s *db.Store, key string, check func(*db.Tx) (bool, error)) error {
		ch := &db.Change{FeedID: id, Operation: rand.Text(), Kind: proget.VersionPublished, PackageKey: key, Packages: 1, Versions: 1}
		ch.Check = func(tx *db.Tx) error {
			if found, err := check(tx); err != nil || found {
				return cmp.Or(err, taken)
			}
			return nil
		}
		v := version(int(files.Add(1))) // each another, or one would wait for the other's blob
		_, err := s.Change(ctx, ch, func(tx *db.Tx) error {
			_, err := tx.AddVersion(ctx, id, key, v, nil, nil)
			return err
		})
		return err
	}
	for n := range 10 {
		file, below := fmt.Sprintf("%d/x", n), fmt.Sprintf("%d/x/y", n)
		errs := make(chan error, 2)
		go func() {
			errs <- add(s, file, func(tx *db.Tx) (bool, error) { return tx.HasPackages(ctx, id, file+"/") })
		}()
		go func() {
			errs <- add(other, below, func(tx *db.Tx) (bool, error) { return tx.HasPackage(ctx, id, file) })
		}()
		both := []error{<-errs, <-errs}
		if both[0] == nil {
			slices.Reverse(both)
		}
		require.ErrorIs(t, both[0], taken)
		require.NoError(t, both[1])
	}
	keys, err := s.ListPackageKeys(ctx, id, "", 100)
	require.NoError(t, err)
	require.Len(t, keys, 10)
	heads, err := s.Heads(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 10, heads[id], "what was refused has no entry")

	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		for prefix, want := range map[string]bool{"": true, "9/x": true, "9": true, "8/x0": false, "9/z": false, "~": false} {
			found, err := tx.HasPackages(ctx, id, prefix)
			require.NoError(t, err)
			require.Equal(t, want, found, prefix)
		}
		none, err := tx.HasPackages(ctx, id+1, "")
		require.False(t, none, "another feed")
		return err
	}))
}

// testOneWinner: of those who publish one version at once, exactly one does.
func testOneWinner(t *testing.T, open Open) {
	a, b, ctx := open(t), open(t), t.Context()
	id := newFeed(t, a, "main")
	for round := range 5 {
		var won, lost atomic.Int64
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				_, err := publish(ctx, []*db.Store{a, b}[n%2], id, fmt.Sprint(round, "-", n), version(round))
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, proget.ErrConflict):
					lost.Add(1)
				default:
					require.NoError(t, err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 7, lost.Load())
	}
}

// testUnknownOutcome: an operation that is repeated after its commit, because
// nobody heard of it, succeeds once.
func testUnknownOutcome(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "op", version(1)) // committed, but nobody heard of it
	require.NoError(t, err)
	runs := 0
	ch := &db.Change{FeedID: id, Operation: "op", Kind: proget.VersionPublished, PackageKey: "acme.lib"}
	seq, err := s.Change(ctx, ch, func(tx *db.Tx) error {
		runs++
		return db.ErrTryAgain // as a connection that breaks during the commit
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, seq)
	require.Equal(t, 1, runs)
}

// testLateCommit: a commit that nobody heard of becomes visible while the
// operation is being repeated, which therefore meets itself.
func testLateCommit(t *testing.T, open Open) {
	s, other, ctx := open(t), open(t), t.Context()
	if s.Engine() == "SQLite" {
		return // has one writer at a time: nothing can be committed meanwhile
	}
	id := newFeed(t, s, "main")
	for _, meets := range []error{proget.ErrConflict, proget.ErrNotFound} {
		ch := &db.Change{FeedID: id, Operation: "op " + meets.Error(), Kind: proget.VersionPublished, PackageKey: "acme.lib"}
		runs := 0
		_, err := s.Change(ctx, ch, func(tx *db.Tx) error {
			if runs++; runs == 1 {
				return db.ErrTryAgain // as a connection that breaks during the commit
			}
			_, err := other.Change(ctx, ch, func(*db.Tx) error { return nil }) // the first attempt's commit
			return errors.Join(err, proget.Errorf(meets, "there it is"))
		})
		require.NoError(t, err)
		require.Equal(t, 2, runs)
	}
	conflict := proget.Errorf(proget.ErrConflict, "with somebody else's")
	runs := 0
	_, err := s.Change(ctx, &db.Change{FeedID: id, Operation: "another", Kind: proget.VersionPublished}, func(*db.Tx) error {
		if runs++; runs == 1 {
			return db.ErrTryAgain
		}
		return conflict
	})
	require.ErrorIs(t, err, conflict, "a true one stays one")
}
