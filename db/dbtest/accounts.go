package dbtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

func testAccounts(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		require.NoError(t, tx.CreateUser(ctx, "Admin", "hash"))
		require.NoError(t, tx.CreateUser(ctx, "ann", "hash"))
		require.NoError(t, tx.Grant(ctx, db.Permission{Subject: "anonymous", Task: proget.TaskView}))
		require.NoError(t, tx.Grant(ctx, db.Permission{Subject: "user:admin", FeedID: id, Task: proget.TaskManage}))
		return tx.Grant(ctx, db.Permission{Subject: "user:admin", Task: proget.TaskView})
	}))
	u, err := s.FindUser(ctx, "aDMIN")
	require.NoError(t, err)
	require.Equal(t, "Admin", u.Name)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		found, err := tx.SetPassword(ctx, "admin", "other")
		require.True(t, found)
		return err
	}))
	changed, err := s.FindUser(ctx, "admin")
	require.NoError(t, err)
	require.Equal(t, "other", changed.PasswordHash)
	require.Greater(t, changed.SessionEpoch, u.SessionEpoch)
	names, err := s.ListUsers(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"Admin", "ann"}, names)
	require.ErrorIs(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.CreateUser(ctx, "ANN", "hash") }), proget.ErrConflict)

	expect := func(want ...db.Permission) {
		t.Helper()
		all, err := s.ListPermissions(ctx)
		require.NoError(t, err)
		require.Equal(t, want, all)
	}
	anybody, all := db.Permission{Subject: "anonymous", Task: proget.TaskView}, db.Permission{Subject: "user:admin", Task: proget.TaskView}
	expect(anybody, db.Permission{Subject: "user:admin", FeedID: id, Task: proget.TaskManage}, all)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Revoke(ctx, "user:admin", id) }))
	expect(anybody, all)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Revoke(ctx, "anonymous", 0) }))
	expect(all)

	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		found, err := tx.LockUser(ctx, "ADMIN")
		require.NoError(t, err)
		require.True(t, found)
		found, err = tx.DeleteUser(ctx, "ADMIN")
		require.NoError(t, err)
		require.True(t, found)
		found, err = tx.LockUser(ctx, "admin")
		require.NoError(t, err)
		require.False(t, found)
		found, err = tx.DeleteUser(ctx, "nobody")
		require.NoError(t, err)
		require.False(t, found)
		return tx.RevokeAll(ctx, "user:admin")
	}))
	_, err = s.FindUser(ctx, "admin")
	require.ErrorIs(t, err, proget.ErrNotFound)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.CreateUser(ctx, "Admin", "hash") }))
	again, err := s.FindUser(ctx, "admin")
	require.NoError(t, err)
	require.Greater(t, again.SessionEpoch, changed.SessionEpoch, "sessions of a former account of the name stay void")
}

func testKeys(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		require.NoError(t, tx.CreateKey(ctx, db.Key{Name: "ci", Hash: "aa", FeedID: id, Task: proget.TaskPublish, Expires: later}))
		k, err := tx.FindKey(ctx, "aa")
		require.Equal(t, "ci", k.Name)
		require.NoError(t, err)
		return tx.CreateKey(ctx, db.Key{Name: "old", Hash: "bb", Task: proget.TaskView, Expires: time.Unix(1, 0)})
	}))
	k, err := s.FindKey(ctx, "aa")
	require.NoError(t, err)
	require.Positive(t, k.ID)
	require.WithinDuration(t, time.Now(), k.Created, time.Minute)
	require.Equal(t, db.Key{ID: k.ID, Name: "ci", Hash: "aa", FeedID: id, Task: proget.TaskPublish, Created: k.Created, Expires: later}, k)
	_, err = s.FindKey(ctx, "bb")
	require.ErrorIs(t, err, proget.ErrNotFound, "expired")
	require.ErrorIs(t, s.Tx(ctx, func(tx *db.Tx) error {
		return tx.CreateKey(ctx, db.Key{Name: "twin", Hash: "aa", Task: proget.TaskView})
	}), proget.ErrConflict)

	keys, err := s.ListKeys(ctx)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, db.Key{ID: k.ID, Name: "ci", FeedID: id, Task: proget.TaskPublish, Created: k.Created, Expires: later}, keys[0])
	require.Equal(t, "old", keys[1].Name)
	for _, want := range []bool{true, false} {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
			found, err := tx.DeleteKey(ctx, k.ID)
			require.Equal(t, want, found)
			return err
		}))
	}
	_, err = s.FindKey(ctx, "aa")
	require.ErrorIs(t, err, proget.ErrNotFound)
}

func testFeeds(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	newFeed(t, s, "other")
	rename := func(from, to string) error {
		return s.Administer(ctx, "test", func(tx *db.Tx) error {
			f, err := tx.FindFeed(ctx, from)
			if err != nil {
				return err
			}
			f.Name, f.Description, f.Active = to, "About it", false
			return tx.UpdateFeed(ctx, f)
		})
	}
	require.NoError(t, rename("MAIN", "Renamed"))
	require.ErrorIs(t, rename("main", "third"), proget.ErrNotFound)
	require.ErrorIs(t, rename("renamed", "Other"), proget.ErrConflict)
	require.ErrorIs(t, rename("", "third"), proget.ErrNotFound, "the system feed is none")
	feeds, err := s.ListFeeds(ctx)
	require.NoError(t, err)
	require.Len(t, feeds, 2)
	require.Equal(t, "other", feeds[0].Name)
	require.Equal(t, &proget.Feed{ID: id, Name: "Renamed", Type: "test", Description: "About it", Created: feeds[1].Created}, feeds[1])
}

// testDeleteFeed: a feed goes when it is empty, for good, and with what was for
// it alone; a publisher who found it before is refused.
func testDeleteFeed(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	other := newFeed(t, s, "other")
	id := newFeed(t, s, "main")
	remove := func() error {
		return s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.DeleteFeed(ctx, "Main") })
	}
	_, err := publish(ctx, s, id, "publish", version(1))
	require.NoError(t, err)
	require.ErrorIs(t, remove(), proget.ErrConflict, "it holds a package")
	_, err = publish(ctx, s, id, "another", version(2))
	require.NoError(t, err, "nothing has changed")
	for n := 1; n <= 2; n++ {
		ch := &db.Change{FeedID: id, Operation: version(n).Key, Kind: proget.VersionDeleted}
		_, err = s.Change(ctx, ch, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", version(n).Key)
			require.NoError(t, err)
			_, _, err = tx.DeleteVersion(ctx, v, "tester")
			return err
		})
		require.NoError(t, err)
	}
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		for feed, name := range map[int64]string{id: "main", other: "other", 0: "all"} {
			require.NoError(t, tx.CreateKey(ctx, db.Key{Name: name, Hash: name, FeedID: feed, Task: proget.TaskView}))
			require.NoError(t, tx.Grant(ctx, db.Permission{Subject: "user:ann", FeedID: feed, Task: proget.TaskView}))
		}
		return nil
	}))
	require.NoError(t, remove())
	require.ErrorIs(t, remove(), proget.ErrNotFound)
	feeds, err := s.ListFeeds(ctx)
	require.NoError(t, err)
	require.Len(t, feeds, 1)
	heads, err := s.Heads(ctx)
	require.NoError(t, err)
	require.NotContains(t, heads, id)
	keys, err := s.ListKeys(ctx)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	permissions, err := s.ListPermissions(ctx)
	require.NoError(t, err)
	require.Len(t, permissions, 2)
	_, err = publish(ctx, s, id, "late", version(3))
	require.ErrorIs(t, err, proget.ErrNotFound)
	keysLeft, err := s.ListPackageKeys(ctx, id, "", 1)
	require.NoError(t, err)
	require.Empty(t, keysLeft, "the late version was rolled back")

	require.NotEqual(t, id, newFeed(t, s, "MAIN"), "the name is free, the id is not")
	for n := range 5 { // against each other, one of them is first
		name := fmt.Sprint("race-", n)
		raced := newFeed(t, s, name)
		var published, deleted error
		var both sync.WaitGroup
		both.Go(func() { _, published = publish(ctx, s, raced, "publish "+name, version(1)) })
		both.Go(func() {
			deleted = s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.DeleteFeed(ctx, name) })
		})
		both.Wait()
		if published == nil {
			require.ErrorIs(t, deleted, proget.ErrConflict)
		} else {
			require.ErrorIs(t, published, proget.ErrNotFound)
			require.NoError(t, deleted)
		}
	}
}

// testAdminister: administrators change things one after the other. Otherwise, two that
// replace the same permission do not find each other's, and both stay.
func testAdminister(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	var removed sync.WaitGroup
	removed.Add(2)
	both := make(chan struct{})
	go func() { removed.Wait(); close(both) }()
	var administrators errgroup.Group
	for _, task := range []proget.Task{proget.TaskView, proget.TaskPublish} {
		first := true // a transaction may be tried again
		administrators.Go(func() error {
			return s.Administer(ctx, "test", func(tx *db.Tx) error {
				if err := tx.Revoke(ctx, "authenticated", 0); err != nil {
					return err
				}
				if first {
					first = false
					removed.Done()
				}
				select {
				case <-both:
				case <-time.After(200 * time.Millisecond): // the other waits, as it should
				}
				return tx.Grant(ctx, db.Permission{Subject: "authenticated", Task: task})
			})
		})
	}
	require.NoError(t, administrators.Wait())
	all, err := s.ListPermissions(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
}
