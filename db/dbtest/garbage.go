package dbtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

const allBlobs = 1 << 40 // greater than any blob's id

// remove deletes a version of acme.lib.
func remove(ctx context.Context, s *db.Store, feedID int64, operation, versionKey string) error {
	ch := &db.Change{FeedID: feedID, Operation: operation, Actor: "test", Kind: proget.VersionDeleted, PackageKey: "acme.lib", VersionKey: versionKey}
	_, err := s.Change(ctx, ch, func(tx *db.Tx) error {
		v, err := tx.FindVersion(ctx, feedID, "acme.lib", versionKey)
		if err == nil {
			_, _, err = tx.DeleteVersion(ctx, v, "someone")
		}
		return err
	})
	return err
}

// bringBack restores a deleted version.
func bringBack(ctx context.Context, s *db.Store, feedID, id int64, operation string) (v *proget.Version, err error) {
	ch := &db.Change{FeedID: feedID, Operation: operation, Actor: "test", Kind: proget.VersionPublished}
	_, err = s.Change(ctx, ch, func(tx *db.Tx) (err error) {
		v, _, _, err = tx.RestoreVersion(ctx, feedID, id)
		return err
	})
	return v, err
}

// testGarbage: a blob is marked when nothing refers to it and its grace is over,
// and is never used again then.
func testGarbage(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	for n := range 3 {
		_, err := publish(ctx, s, id, fmt.Sprint("publish ", n), version(n))
		require.NoError(t, err)
	}
	last, err := s.LastBlob(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, last)
	require.Zero(t, mark(t, s, 0), "all are in use")
	require.NoError(t, remove(ctx, s, id, "delete", "1.0.1"))
	require.Zero(t, mark(t, s, time.Hour), "its grace has just begun")
	blobs, bytes, err := s.SumGarbage(ctx, 0, allBlobs, 0)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 100}, []int64{blobs, bytes})
	require.EqualValues(t, 1, mark(t, s, 0))
	require.Zero(t, mark(t, s, 0), "once")

	marked, err := s.ListMarked(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, marked, 1)
	require.Equal(t, "blobs/1", marked[0].StorageKey)
	_, err = s.FindBlob(ctx, 0, version(1).Files[0].Digests[proget.SHA256], 100)
	require.ErrorIs(t, err, proget.ErrNotFound)
	again := version(1)
	again.Files[0].StorageKey = "blobs/fresh"
	_, err = publish(ctx, s, id, "publish again", again)
	require.NoError(t, err)
	require.Equal(t, "blobs/fresh", again.Files[0].StorageKey, "it brings its own object")

	require.NoError(t, s.DeleteBlobs(ctx, []int64{marked[0].ID, last}), "one is marked, one in use")
	require.NoError(t, s.DeleteBlobs(ctx, []int64{marked[0].ID}), "a second time")
	objects, err := s.ListObjects(ctx, 0, "blobs/0", 10)
	require.NoError(t, err)
	var keys []string
	for _, o := range objects {
		keys = append(keys, o.StorageKey)
	}
	require.Equal(t, []string{"blobs/2", "blobs/fresh"}, keys)
}

func mark(t *testing.T, s *db.Store, grace time.Duration) int64 {
	t.Helper()
	n, err := s.MarkBlobs(t.Context(), 0, allBlobs, grace)
	require.NoError(t, err)
	return n
}

// testCondemned: an object without a row gets a marked one, unless it has one
// by now; and who comes too late to record it is told.
func testCondemned(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "one", version(1))
	require.NoError(t, err)
	require.ErrorIs(t, s.CondemnObject(ctx, 0, "blobs/1", 100), proget.ErrConflict)
	require.NoError(t, s.CondemnObject(ctx, 0, "blobs/2", 100))
	marked, err := s.ListMarked(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, marked, 1)
	require.Equal(t, "blobs/2", marked[0].StorageKey)
	_, err = publish(ctx, s, id, "two", version(2))
	require.ErrorIs(t, err, proget.ErrUnavailable, "there is no such version")
	_, err = publishKnown(ctx, s, id, "three", version(3), new(db.Upload)) // which asked in 1970
	require.ErrorIs(t, err, proget.ErrUnavailable)
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Len(t, p.Versions, 1)
}

// testRestore: a deleted version comes back as it was, once.
func testRestore(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id, other := newFeed(t, s, "main"), newFeed(t, s, "other")
	_, err := publish(ctx, s, id, "one", version(1))
	require.NoError(t, err)
	before, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.NoError(t, s.AddDownloads(ctx, time.Now(), map[int64]int64{before.Versions[0].ID: 7}))
	require.NoError(t, remove(ctx, s, id, "delete", "1.0.1"))
	deleted, err := s.ListDeleted(ctx, id, 0, 10)
	require.NoError(t, err)
	require.Len(t, deleted, 1)
	d := deleted[0]
	require.Equal(t, []string{"acme.lib", "1.0.1", "Acme.Lib", "1.0.1", "someone"}, []string{d.PackageKey, d.VersionKey, d.Name, d.Version, d.By})
	require.WithinDuration(t, time.Now(), d.At, time.Minute)
	_, err = bringBack(ctx, s, other, d.ID, "wrong feed")
	require.ErrorIs(t, err, proget.ErrNotFound)
	v, err := bringBack(ctx, s, id, d.ID, "back")
	require.NoError(t, err)
	require.Equal(t, "blobs/1", v.Files[0].StorageKey)
	after, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	want, got := *before.Versions[0], *after.Versions[0]
	require.EqualValues(t, 7, got.Downloads)
	got.ID, got.PackageID, got.Downloads = want.ID, want.PackageID, want.Downloads
	require.Equal(t, want, got)
	_, err = bringBack(ctx, s, id, d.ID, "twice")
	require.ErrorIs(t, err, proget.ErrNotFound)

	require.NoError(t, remove(ctx, s, id, "delete again", "1.0.1"))
	_, err = publish(ctx, s, id, "another of this name", version(1))
	require.NoError(t, err)
	deleted, err = s.ListDeleted(ctx, id, 0, 10)
	require.NoError(t, err)
	_, err = bringBack(ctx, s, id, deleted[0].ID, "conflict")
	require.ErrorIs(t, err, proget.ErrConflict)
	require.NoError(t, remove(ctx, s, id, "delete it", "1.0.1"))
	require.EqualValues(t, 1, mark(t, s, 0))
	_, err = bringBack(ctx, s, id, deleted[0].ID, "too late")
	require.ErrorIs(t, err, proget.ErrNotFound)
	require.Contains(t, proget.Message(err), "for good")
	_, err = s.LoadPackage(ctx, id, "acme.lib")
	require.ErrorIs(t, err, proget.ErrNotFound, "nothing is half there")

	n, err := s.PurgeDeleted(ctx, time.Hour)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = s.PurgeDeleted(ctx, -time.Hour) // an hour ahead: whatever the clock's grain
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	deleted, err = s.ListDeleted(ctx, id, 0, 10)
	require.NoError(t, err)
	require.Empty(t, deleted)
}

// testRestoreTags: a deleted version comes back with the tags that it had, but for
// those that point at another by now.
func testRestoreTags(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	for n := range 3 {
		_, err := publish(ctx, s, id, fmt.Sprint("publish ", n), version(n))
		require.NoError(t, err)
	}
	point := func(n int, tags ...string) {
		_, err := s.Change(ctx, &db.Change{FeedID: id, Operation: fmt.Sprint("tag ", n, tags), Kind: proget.TagMoved}, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", version(n).Key)
			for _, tag := range tags {
				err = errors.Join(err, tx.SetTag(ctx, v.PackageID, tag, v.ID))
			}
			return err
		})
		require.NoError(t, err)
	}
	tags := func() map[string]string {
		p, err := s.LoadPackage(ctx, id, "acme.lib")
		require.NoError(t, err)
		return p.Tags
	}
	point(0, "other")
	point(1, "latest", "Next", "next", "stable")
	require.NoError(t, remove(ctx, s, id, "delete 2", "1.0.2"))
	require.NoError(t, remove(ctx, s, id, "delete 1", "1.0.1"))
	point(0, "latest")
	deleted, err := s.ListDeleted(ctx, id, 0, 10)
	require.NoError(t, err)
	require.Len(t, deleted, 2)
	require.Equal(t, []string{"Next", "latest", "next", "stable"}, deleted[1].Tags)
	require.Empty(t, deleted[0].Tags)
	_, err = bringBack(ctx, s, id, deleted[1].ID, "back")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"other": "1.0.0", "latest": "1.0.0", "Next": "1.0.1", "next": "1.0.1", "stable": "1.0.1"}, tags())

	require.NoError(t, remove(ctx, s, id, "delete 1 again", "1.0.1"))
	require.NoError(t, remove(ctx, s, id, "delete 0", "1.0.0"))
	_, err = s.LoadPackage(ctx, id, "acme.lib")
	require.ErrorIs(t, err, proget.ErrNotFound, "the package is gone, and is made anew")
	deleted, err = s.ListDeleted(ctx, id, 0, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"Next", "next", "stable"}, deleted[0].Tags)
	_, err = bringBack(ctx, s, id, deleted[0].ID, "back again")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"Next": "1.0.1", "next": "1.0.1", "stable": "1.0.1"}, tags())

	require.NoError(t, remove(ctx, s, id, "delete for good", "1.0.1"))
	n, err := s.PurgeDeleted(ctx, -time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
}

// testMarkWaits: a marker that meets a publisher in the middle of reusing a blob
// waits for it and leaves the blob alone, though it began before the publisher
// was done and grants no grace.
func testMarkWaits(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "publish", version(1))
	require.NoError(t, err)
	require.NoError(t, remove(ctx, s, id, "delete", "1.0.1"))
	again := version(2)
	again.Files[0].Digests = version(1).Files[0].Digests
	var marked int64
	var marker errgroup.Group
	ch := &db.Change{FeedID: id, Operation: "reuse", Actor: "test", Kind: proget.VersionPublished}
	_, err = s.Change(ctx, ch, func(tx *db.Tx) error {
		if _, err := tx.AddVersion(ctx, id, "acme.lib", again, nil, nil); err != nil {
			return err
		}
		marker.Go(func() (err error) {
			marked, err = s.MarkBlobs(ctx, 0, allBlobs, 0)
			return err
		})
		time.Sleep(200 * time.Millisecond) // that the marker waits cannot be seen on every engine
		return nil
	})
	require.NoError(t, errors.Join(err, marker.Wait()))
	require.Equal(t, "blobs/1", again.Files[0].StorageKey)
	require.Zero(t, marked)
}

// testMarkRace: publishers that reuse the same bytes, while versions are deleted
// and blobs marked without any grace, never end up with a marked blob.
func testMarkRace(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	digest := version(0).Files[0].Digests
	done := make(chan struct{})
	var publishers, marker errgroup.Group
	marker.Go(func() error {
		for {
			if _, err := s.MarkBlobs(ctx, 0, allBlobs, 0); err != nil {
				return err
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
	})
	for p := range 4 {
		publishers.Go(func() error {
			for n := range 10 {
				v := version(100*p + n)
				v.Files[0].Digests = digest
				if _, err := publish(ctx, s, id, "publish "+v.Key, v); err != nil {
					return err
				}
				if n%3 == 2 {
					continue // it stays
				}
				if err := remove(ctx, s, id, "delete "+v.Key, v.Key); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := publishers.Wait()
	close(done)
	require.NoError(t, errors.Join(err, marker.Wait()))
	marked, err := s.ListMarked(ctx, 0, 1000)
	require.NoError(t, err)
	gone := make(map[string]bool)
	for _, b := range marked {
		gone[b.StorageKey] = true
	}
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Len(t, p.Versions, 12)
	for _, v := range p.Versions {
		require.False(t, gone[v.Files[0].StorageKey], "%s refers to a marked blob", v.Key)
	}
}

// testStorages: storages are numbered and their names are unique.
func testStorages(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	create := func(st *proget.Storage) error {
		return s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateStorage(ctx, st) })
	}
	st := &proget.Storage{Name: "Archive", URL: "file:///archive", Probe: "{}"}
	require.NoError(t, create(st))
	require.NotZero(t, st.ID)
	require.ErrorIs(t, create(&proget.Storage{Name: "ARCHIVE", URL: "mem:"}), proget.ErrConflict)
	all, err := s.ListStorages(ctx)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, []any{int64(0), "Default", ""}, []any{all[0].ID, all[0].Name, all[0].URL})
	require.Equal(t, []any{st.ID, "Archive", "file:///archive", "{}"}, []any{all[1].ID, all[1].Name, all[1].URL, all[1].Probe})

	id := newFeed(t, s, "main")
	here, there := version(1), version(2)
	there.Files[0].Digests, there.Files[0].StorageID = here.Files[0].Digests, st.ID
	for _, v := range []*proget.Version{here, there} {
		_, err := publish(ctx, s, id, v.Key, v)
		require.NoError(t, err)
	}
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Equal(t, []any{int64(0), "blobs/1", st.ID, "blobs/2"}, []any{p.Versions[0].Files[0].StorageID, p.Versions[0].Files[0].StorageKey,
		p.Versions[1].Files[0].StorageID, p.Versions[1].Files[0].StorageKey}, "the same bytes, once in each storage")

	drop := func(id int64) error {
		return s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.DeleteStorage(ctx, id) })
	}
	for n := range 501 { // more than one transaction forgets
		require.NoError(t, s.CondemnObject(ctx, st.ID, fmt.Sprintf("blobs/gone-%d", n), 1))
	}
	objects := func() int {
		all, err := s.ListObjects(ctx, st.ID, "", 1000)
		require.NoError(t, err)
		return len(all)
	}
	require.ErrorIs(t, drop(st.ID), proget.ErrConflict, "a version's file is there")
	require.ErrorIs(t, s.ForgetBlobs(ctx, st.ID), proget.ErrConflict)
	require.Equal(t, 502, objects(), "nothing is forgotten")
	require.NoError(t, remove(ctx, s, id, "gone", p.Versions[1].Key))
	deleted, err := s.ListDeleted(ctx, id, 0, 2)
	require.NoError(t, err)
	require.Len(t, deleted, 1)
	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error {
		return tx.CreateFeed(ctx, &proget.Feed{Name: "far", Type: "t", Active: true, StorageID: st.ID})
	}))
	require.ErrorIs(t, drop(st.ID), proget.ErrConflict, "a feed's files go there")
	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.DeleteFeed(ctx, "far") }))
	require.ErrorIs(t, drop(0), proget.ErrConflict)
	require.NoError(t, s.ForgetBlobs(ctx, st.ID))
	require.Zero(t, objects())
	require.NoError(t, s.CondemnObject(ctx, st.ID, "blobs/late", 1))
	require.NoError(t, drop(st.ID))
	require.ErrorIs(t, drop(st.ID), proget.ErrNotFound)
	_, err = bringBack(ctx, s, id, deleted[0].ID, "back")
	require.ErrorIs(t, err, proget.ErrNotFound, "its file is nowhere")
	next := &proget.Storage{Name: "Archive", URL: "file:///another", Probe: "{}"}
	require.NoError(t, create(next))
	require.Greater(t, next.ID, st.ID, "no number is given twice")
}
