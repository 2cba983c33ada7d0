package dbtest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// testPartials: the parts of an upload are recorded once, in order or apart, and
// become a blob.
func testPartials(t *testing.T, open Open) {
	s, other, ctx := open(t), open(t), t.Context()
	part := func(offset, size int64, key string) db.Part {
		return db.Part{Offset: offset, Blob: db.BlobRow{Size: size, StorageKey: key}}
	}
	require.NoError(t, s.CreatePartial(ctx, &db.Partial{Key: "one", Owner: "ann"}))
	require.ErrorIs(t, other.CreatePartial(ctx, &db.Partial{Key: "one", Owner: "bob"}), proget.ErrConflict)
	require.NoError(t, s.AppendPart(ctx, "one", part(0, 10, "blobs/p1"), "sums 1"))
	require.ErrorIs(t, other.AppendPart(ctx, "one", part(0, 5, "blobs/p2"), "sums 2"), proget.ErrStale)
	require.ErrorIs(t, other.AppendPart(ctx, "one", part(11, 5, "blobs/p2"), "sums 2"), proget.ErrStale)
	require.ErrorIs(t, other.AppendPart(ctx, "none", part(0, 5, "blobs/p2"), "sums 2"), proget.ErrNotFound)
	require.NoError(t, other.AppendPart(ctx, "one", part(10, 5, "blobs/p2"), "sums 2"))
	for _, overlap := range []db.Part{part(0, 1, "blobs/x"), part(9, 2, "blobs/x"), part(14, 5, "blobs/x")} {
		require.ErrorIs(t, s.PutPart(ctx, "one", overlap), proget.ErrInvalid)
	}
	require.NoError(t, s.PutPart(ctx, "one", part(15, 5, "blobs/p3")))
	require.ErrorIs(t, s.PutPart(ctx, "one", part(15, 5, "blobs/x")), db.ErrPartExists, "the same part again")
	require.NoError(t, s.CondemnObject(ctx, 0, "blobs/condemned", 5))
	require.ErrorIs(t, s.PutPart(ctx, "one", part(20, 5, "blobs/condemned")), proget.ErrUnavailable, "no part has arrived")
	require.ErrorIs(t, s.AppendPart(ctx, "one", part(15, 5, "blobs/condemned"), "sums"), proget.ErrUnavailable)
	require.ErrorIs(t, s.PutPart(ctx, "none", part(15, 5, "blobs/p4")), proget.ErrNotFound)
	p, parts, err := other.LoadPartial(ctx, "one")
	require.NoError(t, err)
	require.Equal(t, []any{int64(15), "sums 2", "ann"}, []any{p.Size, p.Sums, p.Owner})
	var at []any
	for _, part := range parts {
		at = append(at, part.Offset, part.Blob.StorageKey)
	}
	require.Equal(t, []any{int64(0), "blobs/p1", int64(10), "blobs/p2", int64(15), "blobs/p3"}, at)
	require.Zero(t, mark(t, s, -time.Minute), "parts are needed")

	whole := &proget.File{Size: 20, StorageKey: "blobs/whole", Digests: proget.Digests{proget.SHA256: version(7).Files[0].Digests[proget.SHA256]}}
	require.NoError(t, s.FinishPartial(ctx, "one", whole, true, "=sums of all"))
	require.ErrorIs(t, other.AppendPart(ctx, "one", part(20, 5, "blobs/late"), "sums 3"), proget.ErrStale, "it is finished")
	require.ErrorIs(t, other.PutPart(ctx, "one", part(20, 5, "blobs/late")), proget.ErrStale, "it is finished")
	require.ErrorIs(t, other.PutPart(ctx, "one", part(0, 20, "blobs/late")), db.ErrPartExists)
	p, parts, err = other.LoadPartial(ctx, "one")
	require.NoError(t, err)
	require.Equal(t, []any{int64(20), "=sums of all", 1, "blobs/whole"}, []any{p.Size, p.Sums, len(parts), parts[0].Blob.StorageKey}, "it stays, with one part")
	require.EqualValues(t, 3, mark(t, s, -time.Minute), "the former parts")
	require.NoError(t, s.DeletePartial(ctx, "one"))
	require.ErrorIs(t, s.FinishPartial(ctx, "one", whole, true, ""), proget.ErrNotFound)
	b, err := s.FindBlob(ctx, 0, whole.Digests[proget.SHA256], 20)
	require.NoError(t, err)
	require.Equal(t, "blobs/whole", b.StorageKey)
	require.EqualValues(t, 1, mark(t, s, -time.Minute), "the whole, as long as nobody uses it")

	require.NoError(t, s.CreatePartial(ctx, &db.Partial{Key: "two"}))
	require.NoError(t, s.AppendPart(ctx, "two", part(0, 20, "blobs/q1"), "sums"))
	whole.StorageKey = "blobs/q1"
	require.NoError(t, s.FinishPartial(ctx, "two", whole, false, "=sums of all"))
	b, err = s.FindBlob(ctx, 0, whole.Digests[proget.SHA256], 20)
	require.NoError(t, err)
	require.Equal(t, "blobs/q1", b.StorageKey, "the only part is the whole")

	keep := func(key string, fresh bool) error {
		return s.KeepPartial(ctx, key, whole, fresh, &db.Partial{Key: "kept", Size: 20, Owner: "ann"})
	}
	for _, key := range []string{"kept 1", "kept 2"} {
		require.NoError(t, s.CreatePartial(ctx, &db.Partial{Key: key}))
		whole.StorageKey = "blobs/" + key
		require.NoError(t, s.AppendPart(ctx, key, part(0, 20, "blobs/"+key), "sums"))
		require.NoError(t, keep(key, false))
		require.ErrorIs(t, keep(key, false), proget.ErrNotFound, "it is gone")
		_, err = s.FindPartial(ctx, key)
		require.ErrorIs(t, err, proget.ErrNotFound)
		p, parts, err = other.LoadPartial(ctx, "kept")
		require.NoError(t, err)
		require.Equal(t, []any{int64(20), "ann", 1, "blobs/kept 1"}, []any{p.Size, p.Owner, len(parts), parts[0].Blob.StorageKey}, "who is first")
	}
	require.NoError(t, s.CreatePartial(ctx, &db.Partial{Key: "kept 3"}))
	require.NoError(t, s.AppendPart(ctx, "kept 3", part(0, 19, "blobs/k1"), "sums"))
	require.NoError(t, s.AppendPart(ctx, "kept 3", part(19, 1, "blobs/k2"), "sums"))
	whole.StorageKey = "blobs/fresh"
	require.NoError(t, keep("kept 3", true))
	require.NoError(t, keep("kept 3", true), "the outcome of the commit was lost")
	require.NoError(t, s.DeletePartial(ctx, "kept"))

	for _, key := range []string{"three", "four"} {
		require.NoError(t, s.CreatePartial(ctx, &db.Partial{Key: key}))
	}
	require.NoError(t, s.DeletePartial(ctx, "three"))
	require.NoError(t, s.DeletePartial(ctx, "three"), "twice")
	n, err := s.PurgePartials(ctx, time.Hour)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = s.PurgePartials(ctx, -time.Minute)
	require.NoError(t, err)
	require.EqualValues(t, 2, n, "one of them was finished, and nobody canceled it")
}

// testBegin: of those who begin one upload with a first part at once, one does.
func testBegin(t *testing.T, open Open) {
	s, other, ctx := open(t), open(t), t.Context()
	part := func(object string) db.Part { return db.Part{Blob: db.BlobRow{Size: 5, StorageKey: "blobs/" + object}} }
	begin := func(s *db.Store, object string) error {
		return s.BeginPartial(ctx, &db.Partial{Key: "one", Sums: "sums 1", Owner: "ann"}, part(object))
	}
	var began atomic.Int64
	var all errgroup.Group
	for n, s := range []*db.Store{s, other, s, other} {
		all.Go(func() error {
			err := begin(s, fmt.Sprint(n))
			if err == nil {
				began.Add(1)
			}
			if errors.Is(err, proget.ErrStale) {
				err = nil
			}
			return err
		})
	}
	require.NoError(t, all.Wait())
	require.EqualValues(t, 1, began.Load())
	require.ErrorIs(t, begin(other, "late"), proget.ErrStale)
	require.NoError(t, other.AppendPart(ctx, "one", db.Part{Offset: 5, Blob: db.BlobRow{Size: 5, StorageKey: "blobs/second"}}, "sums 2"))
	p, parts, err := s.LoadPartial(ctx, "one")
	require.NoError(t, err)
	require.Equal(t, []any{int64(10), "sums 2", "ann", 2}, []any{p.Size, p.Sums, p.Owner, len(parts)})
}

// testKeepWhole: what comes at once is a blob that is held at once.
func testKeepWhole(t *testing.T, open Open) {
	s, other, ctx := open(t), open(t), t.Context()
	f := &proget.File{Size: 20, Digests: version(7).Files[0].Digests}
	keep := func(s *db.Store, object string) error {
		f.StorageKey = "blobs/" + object
		return s.KeepWhole(ctx, f, &db.Partial{Key: "kept", Owner: "ann"})
	}
	for _, object := range []string{"1", "2"} {
		for _, s := range []*db.Store{s, other} {
			require.NoError(t, keep(s, object), "it may be repeated")
		}
		b, err := s.FindHeld(ctx, "kept")
		require.NoError(t, err)
		require.Equal(t, []any{"blobs/1", int64(20), f.Digests[proget.SHA256]}, []any{b.StorageKey, b.Size, b.SHA256}, "who is first")
	}
	p, err := s.FindPartial(ctx, "kept")
	require.NoError(t, err)
	require.Equal(t, []any{int64(20), "ann"}, []any{p.Size, p.Owner})
	require.EqualValues(t, 1, mark(t, s, -time.Minute), "whom nobody needs")
	require.ErrorIs(t, keep(s, "2"), proget.ErrUnavailable, "garbage collection was faster")
	_, err = s.FindHeld(ctx, "kept")
	require.NoError(t, err)
}

// testKeepTwice: who keeps an upload a second time while the first time is under way,
// having given it up, learns that it is kept.
func testKeepTwice(t *testing.T, open Open) {
	stores, ctx := []*db.Store{open(t), open(t)}, t.Context()
	for n := range 20 {
		key := fmt.Sprint("upload ", n)
		f := &proget.File{Size: 20, StorageKey: "blobs/" + key, Digests: version(7).Files[0].Digests}
		var both errgroup.Group
		for _, s := range stores {
			both.Go(func() error { return s.KeepWhole(ctx, f, &db.Partial{Key: "kept " + key}) })
		}
		require.NoError(t, both.Wait())
		_, err := stores[0].FindHeld(ctx, "kept "+key)
		require.NoError(t, err)
	}
}

// testHoldAtOnce: of several who push or mount the same bytes under one name at the
// same moment, all succeed, and the name holds them once.
func testHoldAtOnce(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	const clients, rounds = 6, 10
	f := func(key string) *proget.File {
		return &proget.File{Size: 20, StorageKey: "blobs/" + key, Digests: proget.Digests{proget.SHA256: version(7).Files[0].Digests[proget.SHA256]}}
	}
	stores := make([]*db.Store, clients)
	for n := range stores {
		stores[n] = open(t)
	}
	for round := range rounds {
		name := &db.Partial{Key: fmt.Sprint("held ", round), Size: 20, Owner: "ann"}
		var all errgroup.Group
		for n, other := range stores {
			key := fmt.Sprintf("upload %d %d", round, n)
			require.NoError(t, s.CreatePartial(ctx, &db.Partial{Key: key}))
			require.NoError(t, s.AppendPart(ctx, key, db.Part{Blob: db.BlobRow{Size: 20, StorageKey: "blobs/" + key}}, "sums"))
			all.Go(func() error { return other.KeepPartial(ctx, key, f(key), false, name) })
			all.Go(func() error { return other.KeepWhole(ctx, f("whole "+key), name) })
			if round > 0 {
				mounted := &db.Partial{Key: fmt.Sprint("mounted ", round), Size: 20}
				all.Go(func() error { return other.HoldBlob(ctx, mounted, f("").Digests[proget.SHA256]) })
			}
		}
		require.NoError(t, all.Wait())
		_, parts, err := s.LoadPartial(ctx, name.Key)
		require.NoError(t, err)
		require.Len(t, parts, 1)
	}
}

// testMoves: a file is made to refer to another storage's blob of the same bytes.
func testMoves(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	f := &proget.Feed{Name: "main", Type: "test", Active: true}
	st := &proget.Storage{Name: "second", URL: "file:///second", Probe: "{}"}
	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateFeed(ctx, f) }))
	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateStorage(ctx, st) }))
	for n := range 3 {
		v := version(n)
		v.Files[0].Digests = version(n / 2).Files[0].Digests // the first two are the same bytes
		_, err := publish(ctx, s, f.ID, v.Key, v)
		require.NoError(t, err)
	}
	last, err := s.LastFile(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, last)
	misplaced := func() []db.MisplacedFile {
		files, err := s.ListMisplaced(ctx, 0, last)
		require.NoError(t, err)
		return files
	}
	require.Empty(t, misplaced())
	f.StorageID, f.Redirect = st.ID, true
	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.UpdateFeed(ctx, f) }))
	feeds, err := s.ListFeeds(ctx)
	require.NoError(t, err)
	require.Equal(t, []any{st.ID, true}, []any{feeds[0].StorageID, feeds[0].Redirect})
	files := misplaced()
	require.Len(t, files, 3)
	require.Equal(t, []any{f.ID, st.ID, "acme.lib", "1.0.0", "blobs/0"},
		[]any{files[0].FeedID, files[0].StorageID, files[0].PackageKey, files[0].VersionKey, files[0].Blob.StorageKey})
	move := func(file db.MisplacedFile, key string) (used bool, err error) {
		err = s.Tx(ctx, func(tx *db.Tx) error {
			used, err = tx.MoveFile(ctx, file, key)
			return err
		})
		return used, err
	}
	_, err = move(files[0], "")
	require.ErrorIs(t, err, proget.ErrNotFound, "there is no copy yet")
	used, err := move(files[0], "blobs/copy")
	require.NoError(t, err)
	require.True(t, used)
	used, err = move(files[0], "blobs/again")
	require.NoError(t, err)
	require.False(t, used, "it was moved already")
	used, err = move(files[1], "blobs/unneeded")
	require.NoError(t, err)
	require.False(t, used, "the same bytes are there")
	require.Len(t, misplaced(), 1)
	p, err := s.LoadPackage(ctx, f.ID, "acme.lib")
	require.NoError(t, err)
	for n, want := range []any{"blobs/copy", "blobs/copy", "blobs/2"} {
		require.Equal(t, want, p.Versions[n].Files[0].StorageKey)
	}
	require.EqualValues(t, 1, mark(t, s, -time.Minute), "where the first two were")

	hold := func() error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.HoldStorage(ctx, files[2]) })
	}
	require.NoError(t, hold())
	f.StorageID = 0
	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.UpdateFeed(ctx, f) }))
	require.ErrorIs(t, hold(), db.ErrOtherStorage)
}

// testReplaceObject: another object takes the place of a blob's own, once, however
// often that is said.
func testReplaceObject(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	_, err := publish(ctx, s, newFeed(t, s, "main"), "one", version(1))
	require.NoError(t, err)
	b, err := s.FindBlob(ctx, 0, version(1).Files[0].Digests[proget.SHA256], 100)
	require.NoError(t, err)
	require.NoError(t, s.AdoptObject(ctx, db.BlobRow{SHA256: b.SHA256, Size: 100, StorageKey: "blobs/copy"}))
	require.ErrorIs(t, s.AdoptObject(ctx, db.BlobRow{SHA256: b.SHA256, Size: 100, StorageKey: "blobs/copy"}), proget.ErrConflict)
	copies, err := s.BlobCopies(ctx, b)
	require.NoError(t, err)
	require.Len(t, copies, 1)
	require.Equal(t, "blobs/copy", copies[0].StorageKey)
	for _, key := range []string{"blobs/fresh", "blobs/fresh", "blobs/late"} {
		replaced, err := s.ReplaceObject(ctx, b, key)
		require.NoError(t, err)
		require.Equal(t, key == "blobs/fresh", replaced, key)
		named, err := s.HasObject(ctx, 0, key)
		require.NoError(t, err)
		require.Equal(t, replaced, named, key)
	}
}

// testHold: a blob is held without a version, by as many names as want it, and a
// version may refer to it; one that is not there cannot be held or referred to.
func testHold(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "publish", version(1))
	require.NoError(t, err)
	sum := version(1).Files[0].Digests[proget.SHA256]
	held := func(key string, size int64) *db.Partial { return &db.Partial{Key: key, Size: size, Owner: "ann"} }
	require.ErrorIs(t, s.HoldBlob(ctx, held("one", 101), sum), proget.ErrNotFound)
	for range 2 {
		require.NoError(t, s.HoldBlob(ctx, held("one", 100), sum))
	}
	require.NoError(t, s.HoldBlob(ctx, held("two", 100), sum))
	require.NoError(t, remove(ctx, s, id, "delete", "1.0.1"))
	require.Zero(t, mark(t, s, 0))
	_, parts, err := s.LoadPartial(ctx, "one")
	require.NoError(t, err)
	require.Len(t, parts, 1)
	require.Equal(t, []any{sum, int64(100), "blobs/1"}, []any{parts[0].Blob.SHA256, parts[0].Blob.Size, parts[0].Blob.StorageKey})

	v := version(2)
	v.Files = append(v.Files, proget.File{Name: "refers", Size: 100, Digests: version(1).Files[0].Digests})
	_, err = publish(ctx, s, id, "refers", v)
	require.NoError(t, err)
	require.Equal(t, "blobs/1", v.Files[1].StorageKey)
	v = version(3)
	v.Files = append(v.Files, proget.File{Name: "refers", Size: 100, Digests: version(4).Files[0].Digests})
	_, err = publish(ctx, s, id, "refers to nothing", v)
	require.ErrorIs(t, err, proget.ErrNotFound)

	require.NoError(t, s.DeletePartial(ctx, "one"))
	require.NoError(t, s.DeletePartial(ctx, "two"))
	require.Zero(t, mark(t, s, 0), "a version refers to it")
	require.NoError(t, remove(ctx, s, id, "delete the last", "1.0.2"))
	require.EqualValues(t, 2, mark(t, s, 0))
	require.ErrorIs(t, s.HoldBlob(ctx, held("late", 100), sum), proget.ErrNotFound)
}
