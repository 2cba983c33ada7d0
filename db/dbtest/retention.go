package dbtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// testRetentionRules: the rules of a feed are there as they were given, in their
// order, and go with the feed.
func testRetentionRules(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id, other := newFeed(t, s, "main"), newFeed(t, s, "other")
	often := int64(0)
	full := proget.RetentionRule{Prereleases: true, KeepNewest: 3, UnusedDays: 30, AgeDays: 60, MaxDownloads: &often, Names: []string{"a*", "b"},
		KeepNames: []string{"c"}, Versions: []string{"1.*"}, KeepVersions: []string{"*-rc*"}, QuotaKB: 1 << 30, PerPackage: true}
	set := func(feed int64, rules ...proget.RetentionRule) {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.SetRetentionRules(ctx, feed, rules) }))
	}
	set(id, full, proget.RetentionRule{KeepNewest: 1})
	set(other, proget.RetentionRule{AgeDays: 1})
	first, err := s.ListRetentionRules(ctx)
	require.NoError(t, err)
	require.Len(t, first, 2)
	require.Len(t, first[id], 2)
	got := first[id][0]
	got.ID = 0
	require.Equal(t, full, got)

	set(id, proget.RetentionRule{KeepNewest: 2})
	var now []proget.RetentionRule
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) (err error) {
		now, err = tx.RetentionRules(ctx, id)
		return err
	}))
	require.Len(t, now, 1)
	require.Equal(t, 2, now[0].KeepNewest)
	require.Greater(t, now[0].ID, max(first[id][0].ID, first[id][1].ID), "an id is never used again")

	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.DeleteFeed(ctx, "main") }))
	all, err := s.ListRetentionRules(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Len(t, all[other], 1)
}

// testVersionUse: what is known of the use of versions.
func testVersionUse(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	pre := version(2)
	pre.Prerelease = true
	for operation, v := range map[string]*proget.Version{"one": version(1), "two": pre} {
		_, err := publish(ctx, s, id, operation, v)
		require.NoError(t, err)
	}
	use := func() map[string]db.VersionUse {
		all, err := s.ListVersionUse(ctx, id, "acme.lib", "acme.lib")
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Less(t, all[0].ID, all[1].ID)
		return map[string]db.VersionUse{all[0].Key: all[0], all[1].Key: all[1]}
	}
	v := use()["1.0.1"]
	require.Equal(t, []string{"acme.lib", "Acme.Lib", "1.0.1"}, []string{v.PackageKey, v.Name, v.Version})
	require.False(t, v.Prerelease)
	require.True(t, use()["1.0.2"].Prerelease)
	require.EqualValues(t, 100, v.Bytes)
	require.WithinDuration(t, time.Now(), v.Published, time.Hour)
	require.Zero(t, v.LastUsed)
	require.Empty(t, v.Tags)
	require.NoError(t, s.AddDownloads(ctx, time.Now(), map[int64]int64{v.ID: 0}))
	require.False(t, use()["1.0.1"].LastUsed.Before(v.Published), "in use without a download")
	require.Zero(t, use()["1.0.1"].Downloads)
	last, err := s.LastCounted(ctx)
	require.NoError(t, err)
	require.Zero(t, last, "it has no day of downloads")
	require.NoError(t, s.AddDownloads(ctx, time.Now(), map[int64]int64{v.ID: 4}))
	v = use()["1.0.1"]
	require.EqualValues(t, 4, v.Downloads)
	require.False(t, v.LastUsed.Before(v.Published))
	_, err = s.Change(ctx, &db.Change{FeedID: id, Operation: "tag", Kind: proget.TagMoved}, func(tx *db.Tx) error {
		found, err := tx.FindVersion(ctx, id, "acme.lib", "1.0.1")
		if err != nil {
			return err
		}
		return errors.Join(tx.SetTag(ctx, found.PackageID, "next", found.ID), tx.SetTag(ctx, found.PackageID, "latest", found.ID))
	})
	require.NoError(t, err)
	require.Equal(t, []string{"latest", "next"}, use()["1.0.1"].Tags)
	require.EqualValues(t, 100, use()["1.0.1"].Bytes)
	require.Empty(t, use()["1.0.2"].Tags)
	for _, keys := range [][2]string{{"acme.lib.x", "b"}, {"a", "acme.li"}} {
		none, err := s.ListVersionUse(ctx, id, keys[0], keys[1])
		require.NoError(t, err)
		require.Empty(t, none)
	}

	require.NoError(t, remove(ctx, s, id, "delete", "1.0.2"))
	deleted, err := s.ListDeleted(ctx, id, 0, 1)
	require.NoError(t, err)
	_, err = bringBack(ctx, s, id, deleted[0].ID, "back")
	require.NoError(t, err)
	require.NotZero(t, use()["1.0.2"].LastUsed, "who brings it back has a use for it")
}

// testSince: a change of a package is not made if the package has others after the
// position at which it was looked at.
func testSince(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	seen, err := publish(ctx, s, id, "one", version(1))
	require.NoError(t, err)
	edit := func(operation, key string, since int64) (int64, error) {
		ch := &db.Change{FeedID: id, Operation: operation, Kind: proget.VersionEdited, PackageKey: key}
		if since > 0 {
			ch.Check = func(tx *db.Tx) error { return tx.Unchanged(ctx, ch, since) }
		}
		return s.Change(ctx, ch, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", "1.0.1")
			if err == nil {
				err = tx.SetManifest(ctx, v.ID, json.RawMessage(strconv.Quote(operation)))
			}
			return err
		})
	}
	_, err = edit("other", "another", 0)
	require.NoError(t, err)
	own, err := edit("unseen", "acme.lib", seen)
	require.NoError(t, err)
	_, err = edit("late", "acme.lib", seen)
	require.ErrorIs(t, err, db.ErrChanged)
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.JSONEq(t, `"unseen"`, string(p.Versions[0].Manifest))
	again, err := edit("again", "acme.lib", own)
	require.NoError(t, err)
	require.Equal(t, own+1, again, "what was not made has no entry")

	// Of two that have looked at the same position one is refused.
	errs := make(chan error)
	for _, operation := range []string{"a", "b"} {
		go func() {
			_, err := edit(operation, "acme.lib", again)
			errs <- err
		}()
	}
	both := []error{<-errs, <-errs}
	slices.SortFunc(both, func(a, b error) int {
		if a == nil {
			return -1
		}
		return 1
	})
	require.NoError(t, both[0])
	require.ErrorIs(t, both[1], db.ErrChanged)
}

// testHoldVersion: a version that is held is still there when the transaction ends:
// who deletes it comes before or after.
func testHoldVersion(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	hold := func(tx *db.Tx, key string) bool {
		there, err := tx.HoldVersion(ctx, id, "acme.lib", key)
		require.NoError(t, err)
		return there
	}
	for n := range 10 {
		v := version(n)
		_, err := publish(ctx, s, id, fmt.Sprint("publish", n), v)
		require.NoError(t, err)
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
			require.True(t, hold(tx, v.Key))
			return nil
		}))
		deleted := make(chan error)
		go func() { deleted <- remove(ctx, s, id, fmt.Sprint("delete", n), v.Key) }()
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
			if !hold(tx, v.Key) {
				return nil
			}
			_, err := tx.FindVersion(ctx, id, "acme.lib", v.Key)
			require.NoError(t, err, "it was held")
			return nil
		}))
		require.NoError(t, <-deleted)
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
			require.False(t, hold(tx, v.Key))
			return nil
		}))
	}
}

// testHoldJob: what is done under a claim that is lost, or for a job that is to
// be given up, is not written.
func testHoldJob(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "k"}) }))
	hold := func(ctx context.Context, j *proget.Job) error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.HoldJob(ctx, j) })
	}
	j := claimJob(t, s, "")
	require.NoError(t, hold(ctx, j))
	require.NoError(t, s.RetryJob(ctx, j, 0, false, ""))
	require.ErrorIs(t, hold(ctx, j), proget.ErrStale)
	again := claimJob(t, s, "")
	require.ErrorIs(t, hold(ctx, j), proget.ErrStale)
	require.NoError(t, hold(ctx, again))
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.CancelJob(ctx, again.ID) }))
	require.ErrorIs(t, hold(ctx, again), proget.ErrStale)

	stop := func(key string) { require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.StopJob(ctx, key) })) }
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "k", Lane: "l", RunKey: "key"}) }))
	stop("key")
	keyed := claimJob(t, s, "l")
	stop("another")
	require.NoError(t, hold(ctx, keyed), "it was waiting when it was told to stop")
	stop("key")
	require.ErrorIs(t, hold(ctx, keyed), proget.ErrStale)
}
