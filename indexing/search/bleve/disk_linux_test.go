package bleve_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/internal/testenv"
)

// TestFullDisk: an index for which the disk has no space keeps what it has, and goes on once there is some.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := testenv.SmallDisk(t)
	ballast := filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 5<<20), 0o600))
	x := open(t, disk)
	position, err := int64(0), error(nil)
	for err == nil {
		require.Less(t, position, int64(1000), "the disk is never full")
		if err = x.Update(t.Context(), 1, varied(position), position, position+1, ""); err == nil {
			position++
		}
	}
	unchanged := func(x search.Index) {
		t.Helper()
		found, _ := x.Position(1)
		require.Equal(t, position, found)
		require.EqualValues(t, position*500, total(t, x, "company"))
		require.EqualValues(t, position*500, total(t, x, ""))
	}
	refused := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, search.ErrUnwritable)
		require.NotErrorIs(t, err, search.ErrRebuilding)
		unchanged(x)
	}
	require.NotZero(t, position)
	refused(err)
	refused(x.Update(t.Context(), 1, varied(position), position, position+1, ""))
	require.NoError(t, x.Close())
	x = open(t, disk)
	unchanged(x)
	require.NoError(t, os.Remove(ballast))
	require.NoError(t, x.Update(t.Context(), 1, varied(position), position, position+1, ""))
	position++
	unchanged(x)
	require.NoError(t, x.Close())
}

// varied are 500 packages that take some space.
func varied(lot int64) (changes []search.Change) {
	for i := range int64(500) {
		n := lot*500 + i
		d := document(fmt.Sprintf("pkg%d.name%d", n*7919%1000003, n), fmt.Sprintf("company %d %x %x", n, n*n, n*n*n))
		changes = append(changes, search.Change{Key: d.Key, Document: &d})
	}
	return changes
}

// TestReadOnlyDisk: an index that can be read alone is, and is written again when that is possible.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	disk := testenv.SmallDisk(t)
	mount := func(how string) {
		out, err := exec.Command("mount", "-o", "remount,"+how, disk).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	x := open(t, disk)
	position := fill(t, x, 3)
	require.NoError(t, x.Close())
	mount("ro")
	x, err := bleve.Open(disk)
	require.NoError(t, err)
	for range 2 {
		require.Equal(t, 150, total(t, x, "company"))
		require.ErrorIs(t, x.Update(t.Context(), 1, nil, position, position+1, ""), search.ErrUnwritable)
		require.ErrorIs(t, x.Reset(t.Context(), 1), search.ErrUnwritable)
		found, _ := x.Position(1)
		require.Equal(t, position, found)
	}
	mount("rw")
	require.ErrorIs(t, x.Update(t.Context(), 1, nil, position, position+1, ""), search.ErrUnwritable, "this one notices")
	require.Equal(t, position+1, fillBatch(t, x, "late"))
	require.Equal(t, 200, total(t, x, "company"))
	require.NoError(t, x.Close())
}
