package upkeep_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/upkeep"
)

// audit returns the findings as "fault key versions".
func (in *installation) audit(t *testing.T) []string {
	t.Helper()
	var found []string
	_, err := upkeep.Audit(t.Context(), in.db, in.stores, func(f upkeep.Finding) error {
		found = append(found, strings.TrimSpace(string(f.Fault)+" "+f.Key()+" "+strings.Join(f.Versions, ",")))
		return nil
	})
	require.NoError(t, err)
	return found
}

func TestAudit(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	lost, short := in.mustPush(t, "1", "a lost").Files[0].StorageKey, in.mustPush(t, "2", "a short").Files[0].StorageKey
	in.mustPush(t, "3", "a whole")
	deleted := in.mustPush(t, "4", "a deleted").Files[0].StorageKey
	require.NoError(t, in.delete(t.Context(), "a", "4"))
	require.Empty(t, in.audit(t))

	extra, err := in.blobs.Put(t.Context(), strings.NewReader("extra"), nil)
	require.NoError(t, err)
	in.age(t)
	young, err := in.blobs.Put(t.Context(), strings.NewReader("an upload that is about to be recorded"), nil)
	require.NoError(t, err)
	for _, key := range []string{lost, deleted} {
		require.NoError(t, in.blobs.Delete(t.Context(), key))
	}
	require.NoError(t, os.Truncate(filepath.Join(in.folder, filepath.FromSlash(short)), 3))
	require.ElementsMatch(t, []string{"lost " + lost + " main/a 1", "short " + short + " main/a 2", "extra " + extra.Key, "young " + young.Key}, in.audit(t),
		"nobody misses what was deleted")
}

// TestRebuild: an object under another key takes the place of the lost one with
// the same bytes; what is merely extra gets a row and is used by the next push.
func TestRebuild(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	v := in.mustPush(t, "1", "a lost")
	require.NoError(t, in.blobs.Delete(t.Context(), v.Files[0].StorageKey))
	copied, err := in.blobs.Put(t.Context(), strings.NewReader("a lost"), nil)
	require.NoError(t, err)
	extra, err := in.blobs.Put(t.Context(), strings.NewReader("a extra"), nil)
	require.NoError(t, err)
	in.age(t)
	young, err := in.blobs.Put(t.Context(), strings.NewReader("a lost"), nil)
	require.NoError(t, err)
	said := make(map[string]string)
	require.NoError(t, upkeep.Rebuild(t.Context(), in.db, in.stores, nil, func(f upkeep.Finding, what string) { said[f.Key()] = what }))
	require.Equal(t, map[string]string{copied.Key: "replaces " + v.Files[0].StorageKey, extra.Key: "is now recorded"}, said)
	require.Equal(t, []string{"young " + young.Key}, in.audit(t), "it may be an upload under way")
	require.Equal(t, copied.Key, in.versions(t, "a")["1"].Files[0].StorageKey)
	require.Equal(t, extra.Key, in.mustPush(t, "2", "a extra").Files[0].StorageKey)
}

// TestRebuildForeign: nothing is made use of in a storage that another installation has
// marked, since collecting it later would take that installation's files.
func TestRebuildForeign(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ours, err := in.blobs.NewProbe(t.Context(), "cluster")
	require.NoError(t, err)
	theirs, err := in.blobs.Put(t.Context(), strings.NewReader("theirs"), nil)
	require.NoError(t, err)
	mark, err := in.blobs.NewProbe(t.Context(), "cluster")
	require.NoError(t, err)
	in.age(t)
	rebuild := func() (said []string, err error) {
		err = upkeep.Rebuild(t.Context(), in.db, in.stores, map[string]bool{ours.Key: true}, func(f upkeep.Finding, what string) {
			said = append(said, f.Key()+" "+what)
		})
		return said, err
	}
	said, err := rebuild()
	require.ErrorIs(t, err, upkeep.ErrForeign)
	require.ErrorContains(t, err, mark.Key)
	require.Empty(t, said)
	require.Equal(t, []string{"extra " + theirs.Key}, in.audit(t))
	require.NoError(t, in.blobs.Delete(t.Context(), mark.Key))
	said, err = rebuild()
	require.NoError(t, err)
	require.Equal(t, []string{theirs.Key + " is now recorded"}, said)
}
