// Package dbtest is the contract of a database engine, as tests. Every engine must pass
// Run; third parties can run it on theirs.
package dbtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// Open opens the same, initially empty database each time it is called, as several
// nodes do.
type Open func(t *testing.T) *db.Store

// Run runs the whole contract. newDatabase creates a new, empty database.
func Run(t *testing.T, newDatabase func(t *testing.T) Open) {
	for name, test := range map[string]func(t *testing.T, open Open){
		"Migrate":        testMigrate,
		"Queries":        testQueries,
		"Publish":        testPublish,
		"Conflict":       testConflict,
		"Delete":         testDelete,
		"DeleteAtOnce":   testDeleteAtOnce,
		"Status":         testStatus,
		"SpaceAtTheEnd":  testSpaceAtTheEnd,
		"Tags":           testTags,
		"Wide":           testWide,
		"Files":          testFiles,
		"MendFile":       testMendFile,
		"BlockedAliases": testBlockedAliases,
		"FindPackages":   testFindPackages,
		"Deduplicate":    testDeduplicate,
		"KnownUpload":    testKnownUpload,
		"Garbage":        testGarbage,
		"Indexes":        testIndexes,
		"Condemned":      testCondemned,
		"Restore":        testRestore,
		"RestoreTags":    testRestoreTags,
		"MarkRace":       testMarkRace,
		"MarkWaits":      testMarkWaits,
		"Storages":       testStorages,
		"Partials":       testPartials,
		"Texts":          testTexts,
		"Begin":          testBegin,
		"KeepWhole":      testKeepWhole,
		"KeepTwice":      testKeepTwice,
		"Hold":           testHold,
		"HoldAtOnce":     testHoldAtOnce,
		"Moves":          testMoves,
		"ReplaceObject":  testReplaceObject,
		"LogOrder":       testLogOrder,
		"OneWinner":      testOneWinner,
		"UnknownOutcome": testUnknownOutcome,
		"LateCommit":     testLateCommit,
		"Deadlock":       testDeadlock,
		"Follower":       testFollower,
		"Compaction":     testCompaction,
		"Accounts":       testAccounts,
		"Administer":     testAdminister,
		"Keys":           testKeys,
		"Feeds":          testFeeds,
		"DeleteFeed":     testDeleteFeed,
		"Settings":       testSettings,
		"SignIns":        testSignIns,
		"Nodes":          testNodes,
		"Lease":          testLease,
		"Fence":          testFence,
		"FenceAtOnce":    testFenceAtOnce,
		"JobOnceAtOnce":  testJobOnceAtOnce,
		"PutAtOnce":      testPutAtOnce,
		"Terms":          testTerms,
		"Schedule":       testSchedule,
		"Jobs":           testJobs,
		"DelayedJobs":    testDelayedJobs,
		"CancelJob":      testCancelJob,
		"UnbegunJob":     testUnbegunJob,
		"JobLog":         testJobLog,
		"JobOnce":        testJobOnce,
		"ClaimOnce":      testClaimOnce,
		"HoldJob":        testHoldJob,
		"Since":          testSince,
		"HoldVersion":    testHoldVersion,
		"Check":          testCheck,
		"RetentionRules": testRetentionRules,
		"Downloads":      testDownloads,
		"RollUp":         testRollUp,
		"VersionUse":     testVersionUse,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newDatabase(t))
		})
	}
}

// newFeed creates a feed and returns its id.
func newFeed(t *testing.T, s *db.Store, name string) int64 {
	t.Helper()
	f := &proget.Feed{Name: name, Type: "test", Active: true}
	require.NoError(t, s.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), f) }))
	return f.ID
}

func version(n int) *proget.Version {
	return &proget.Version{
		Name: "Acme.Lib", Version: fmt.Sprintf("1.0.%d", n), Key: fmt.Sprintf("1.0.%d", n),
		Manifest: []byte(`{"id":"Acme.Lib"}`), PublishedBy: "test",
		Files: []proget.File{{
			Name: "acme.nupkg", Size: 100, StorageKey: fmt.Sprintf("blobs/%d", n),
			Digests: proget.Digests{proget.SHA256: fmt.Sprintf("%064d", n)}}},
	}
}

// publish records a version and returns its place in the log.
func publish(ctx context.Context, s *db.Store, feedID int64, operation string, v *proget.Version) (int64, error) {
	return publishKnown(ctx, s, feedID, operation, v, nil)
}

func publishKnown(ctx context.Context, s *db.Store, feedID int64, operation string, v *proget.Version, known *db.Upload) (int64, error) {
	ch := &db.Change{FeedID: feedID, Operation: operation, Actor: "test", Kind: proget.VersionPublished,
		PackageKey: "acme.lib", VersionKey: v.Key}
	return s.Change(ctx, ch, func(tx *db.Tx) error {
		created, err := tx.AddVersion(ctx, feedID, "acme.lib", v, nil, known)
		ch.Packages, ch.Versions, ch.Bytes = 0, 1, v.Files[0].Size
		if created {
			ch.Packages = 1
		}
		return err
	})
}

func testMigrate(t *testing.T, open Open) {
	var all sync.WaitGroup
	for range 4 { // nodes that start at the same moment
		all.Go(func() { require.NoError(t, open(t).Ping(t.Context())) })
	}
	all.Wait()
	feeds, err := open(t).ListFeeds(t.Context())
	require.NoError(t, err)
	require.Empty(t, feeds, "the system feed is not listed")
}

// testTexts: what is no text for one engine is none for any.
func testTexts(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	for _, text := range []string{"a\x00b", "\xff"} {
		_, err := s.LoadPackage(ctx, 1, text)
		require.ErrorIs(t, err, proget.ErrInvalid)
		err = s.Administer(ctx, "test", func(tx *db.Tx) error {
			return tx.CreateFeed(ctx, &proget.Feed{Name: "a", Type: "t", Description: text})
		})
		require.ErrorIs(t, err, proget.ErrInvalid)
	}
}

// testQueries runs what no other case does, on empty tables.
func testQueries(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	count, bytes, err := s.CountBlobs(ctx)
	require.NoError(t, err)
	require.Zero(t, count+bytes)
	blobs, err := s.ListBlobs(ctx, 0, 10)
	require.NoError(t, err)
	require.Empty(t, blobs)
	require.NoError(t, s.AddDownloads(ctx, time.Now(), map[int64]int64{7: 1}), "a version that is gone")
	_, err = s.LoadPackage(ctx, 1, "none")
	require.ErrorIs(t, err, proget.ErrNotFound)
	_, err = s.FindDeletedFile(ctx, 1, "none", "none")
	require.ErrorIs(t, err, proget.ErrNotFound)
	_, err = s.FindUser(ctx, "nobody")
	require.ErrorIs(t, err, proget.ErrNotFound)
	_, err = s.FindKey(ctx, "none")
	require.ErrorIs(t, err, proget.ErrNotFound)
	now, err := s.Clock(ctx)
	require.NoError(t, err)
	require.Greater(t, now.Year(), 2020)
}
