package dbtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// testIndexes: generations of an index come one after the other, each whole, and
// a former one stays readable until it is purged.
func testIndexes(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	object := func(n int) db.BlobRow {
		return db.BlobRow{SHA256: fmt.Sprintf("%064d", n), Size: 100, StorageKey: fmt.Sprint("blobs/", n)}
	}
	advance := func(sw db.IndexSwitch) error {
		sw.FeedID, sw.Kind = id, "catalog"
		if sw.Build == "" {
			sw.Build = rand.Text()
		}
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.SwitchIndex(ctx, sw) })
	}
	longest := strings.Repeat("n", db.MaxIndexName)
	names := func(generation int64) (names []string) {
		for _, name := range []string{"a", "b", "c", longest} {
			f, err := s.FindIndexFile(ctx, id, "catalog", name, generation)
			if errors.Is(err, proget.ErrNotFound) {
				continue
			}
			require.NoError(t, err)
			names = append(names, f.Name)
		}
		return names
	}
	head, err := s.FindIndex(ctx, id, "catalog")
	require.NoError(t, err)
	require.Zero(t, head)

	first := db.IndexSwitch{State: "one", Build: "b1", Files: []db.IndexFile{
		{Name: "a", Blob: object(1), Start: 0, Size: 60, SHA256: "x"},
		{Name: "b", Blob: object(1), Start: 60, Size: 40, SHA256: "y"},
		{Name: "c", Blob: object(2), Size: 100, SHA256: "z"}}}
	require.NoError(t, advance(first))
	require.NoError(t, advance(first), "the outcome of the commit was lost")
	require.ErrorIs(t, advance(db.IndexSwitch{Files: []db.IndexFile{{Name: "d", Blob: object(3)}}}), proget.ErrConflict)
	head, err = s.FindIndex(ctx, id, "catalog")
	require.NoError(t, err)
	require.EqualValues(t, 1, head.Generation)
	require.Equal(t, "one", head.State)
	require.Equal(t, []string{"a", "b", "c"}, names(db.Present))

	require.NoError(t, advance(db.IndexSwitch{Generation: 1, Ended: []string{"a", "c"}, Files: []db.IndexFile{{Name: "a", Blob: object(3), Size: 100, SHA256: "w"}}}))
	require.Equal(t, []string{"a", "b"}, names(db.Present))
	require.Equal(t, []string{"a", "b", "c"}, names(1), "as it was")
	f, err := s.FindIndexFile(ctx, id, "catalog", "b", db.Present)
	require.NoError(t, err)
	require.Equal(t, []any{"b", "blobs/1", int64(60), int64(40), "y"}, []any{f.Name, f.Blob.StorageKey, f.Start, f.Size, f.SHA256})
	f, err = s.FindIndexFile(ctx, id, "catalog", "a", 1)
	require.NoError(t, err)
	require.Equal(t, "x", f.SHA256)
	_, err = s.FindIndexFile(ctx, id, "catalog", "c", db.Present)
	require.ErrorIs(t, err, proget.ErrNotFound)

	require.Zero(t, mark(t, s, -time.Hour), "all objects are in use")
	n, err := s.PurgeIndexFiles(ctx, time.Hour)
	require.NoError(t, err)
	require.Zero(t, n, "they ended a moment ago")
	n, err = s.PurgeIndexFiles(ctx, -time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.EqualValues(t, 1, mark(t, s, -time.Hour), "the first object has a file that goes on")

	require.NoError(t, advance(db.IndexSwitch{Generation: 2, All: true, Files: []db.IndexFile{{Name: "a", Blob: object(4), Size: 100}, {Name: longest, Blob: object(4), Size: 100}}}))
	require.Equal(t, []string{"a", longest}, names(db.Present))
	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.DeleteFeed(ctx, "main") }))
	for n = 1; n > 0; {
		n, err = s.PurgeIndexFiles(ctx, time.Hour)
		require.NoError(t, err)
	}
	require.Empty(t, names(db.Present), "a deleted feed has no index")
	head, err = s.FindIndex(ctx, id, "catalog")
	require.NoError(t, err)
	require.Zero(t, head)
	require.EqualValues(t, 3, mark(t, s, -time.Hour))
}
