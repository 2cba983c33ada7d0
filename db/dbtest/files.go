package dbtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// testFiles: a file joins a version with what its feed type keeps of it, is found
// by its aliases, and is replaced by another of its name.
func testFiles(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	_, err := publish(ctx, s, id, "one", version(1))
	require.NoError(t, err)
	join := func(operation, name, digest string, aliases ...string) error {
		f := proget.File{Name: name, Size: 7, Data: []byte(`{"kind":"symbols"}`), StorageKey: "blobs/" + operation,
			Digests: proget.Digests{proget.SHA256: digest}}
		known, err := s.FindUpload(ctx, id, "acme.lib", f)
		require.NoError(t, err)
		_, err = s.Change(ctx, &db.Change{FeedID: id, Operation: operation, Kind: proget.VersionEdited}, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", "1.0.1")
			require.NoError(t, err)
			return tx.JoinVersion(ctx, v, &f, aliases, known)
		})
		return err
	}
	require.NoError(t, join("two", "Acme.snupkg", "aa", "acme.pdb/1", "acme.pdb/2"))
	err = join("three", "acme.SNUPKG", "bb")
	require.ErrorIs(t, err, proget.ErrConflict, "without regard to case")
	require.ErrorIs(t, err, db.ErrFileExists)
	require.ErrorIs(t, join("three", "acme.SNUPKG", "aa"), db.ErrFileExists, "bytes that are stored already")
	require.NoError(t, s.CondemnObject(ctx, 0, "blobs/late", 7))
	err = join("late", "late.snupkg", "cc")
	require.ErrorIs(t, err, proget.ErrUnavailable, "its object is not the publisher's any more")
	require.NotErrorIs(t, err, db.ErrFileExists)
	require.NoError(t, join("four", "other.snupkg", "aa", "acme.pdb/2"), "bytes that are stored already")
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	files := p.Versions[0].Files
	require.Len(t, files, 3)
	require.Nil(t, files[0].Data)
	require.Equal(t, p.Versions[0].Published, files[0].Added)
	require.JSONEq(t, `{"kind":"symbols"}`, string(files[1].Data))
	require.Equal(t, files[1].StorageKey, files[2].StorageKey)

	for alias, want := range map[string]string{"acme.pdb/1": "Acme.snupkg", "acme.pdb/2": "other.snupkg"} {
		name, key, file, err := s.FindAlias(ctx, id, alias)
		require.NoError(t, err)
		require.Equal(t, []string{"acme.lib", "1.0.1", want}, []string{name, key, file})
	}
	_, _, _, err = s.FindAlias(ctx, id, "ACME.pdb/1")
	require.ErrorIs(t, err, proget.ErrNotFound, "byte by byte")
	_, _, _, err = s.FindAlias(ctx, newFeed(t, s, "other"), "acme.pdb/1")
	require.ErrorIs(t, err, proget.ErrNotFound, "of another feed")

	_, err = s.Change(ctx, &db.Change{FeedID: id, Operation: "five", Kind: proget.VersionEdited}, func(tx *db.Tx) error {
		v, err := tx.FindVersion(ctx, id, "acme.lib", "1.0.1")
		require.NoError(t, err)
		f, err := tx.FindFile(ctx, v.ID, "ACME.snupkg")
		require.NoError(t, err)
		require.Equal(t, files[1].Added, f.Added)
		_, err = tx.FindFile(ctx, v.ID, "no.snupkg")
		require.ErrorIs(t, err, proget.ErrNotFound)
		require.NoError(t, tx.DeleteFile(ctx, v.ID, f.Name))
		n, err := tx.CountFiles(ctx, v.ID)
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		data, _, err := tx.ReadManifest(ctx, v.ID)
		require.NoError(t, err)
		require.JSONEq(t, `{"id":"Acme.Lib"}`, string(data))
		return tx.SetManifest(ctx, v.ID, []byte(`{"id":"changed"}`))
	})
	require.NoError(t, err)
	_, _, _, err = s.FindAlias(ctx, id, "acme.pdb/1")
	require.ErrorIs(t, err, proget.ErrNotFound, "it went with its file")
	p, err = s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Len(t, p.Versions[0].Files, 2)
	require.JSONEq(t, `{"id":"changed"}`, string(p.Versions[0].Manifest))
}

// testMendFile: a file refers to another object with the same bytes: to a new one in
// another storage, to the one that is there, or to one that takes its place.
func testMendFile(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	v := version(1)
	_, err := publish(ctx, s, id, "one", v)
	require.NoError(t, err)
	st := &proget.Storage{Name: "other", URL: "mem:"}
	require.NoError(t, s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateStorage(ctx, st) }))
	mend := func(key string, damaged bool) (string, error) {
		f := v.Files[0]
		f.StorageID = st.ID
		known, err := s.FindUpload(ctx, id, "acme.lib", f)
		require.NoError(t, err)
		known.Mend = damaged
		var used string
		err = s.Tx(ctx, func(tx *db.Tx) error {
			row, err := tx.FindVersion(ctx, id, "acme.lib", v.Key)
			require.NoError(t, err)
			used, err = tx.MendFile(ctx, row, f.Name, st.ID, key, known)
			return err
		})
		return used, err
	}
	for _, c := range []struct {
		key, want string
		damaged   bool
	}{{"blobs/new", "blobs/new", false}, {"blobs/second", "blobs/new", false}, {"blobs/third", "blobs/third", true}} {
		used, err := mend(c.key, c.damaged)
		require.NoError(t, err)
		require.Equal(t, c.want, used)
		p, err := s.LoadPackage(ctx, id, "acme.lib")
		require.NoError(t, err)
		f := p.Versions[0].Files[0]
		require.Equal(t, []any{st.ID, c.want}, []any{f.StorageID, f.StorageKey})
		require.Equal(t, v.Files[0].Digests, f.Digests)
	}
	require.NoError(t, s.CondemnObject(ctx, st.ID, "blobs/late", 7))
	_, err = mend("blobs/late", true)
	require.ErrorIs(t, err, proget.ErrUnavailable, "its object is not the publisher's any more")
}

// testBlockedAliases: of several files with an alias, one whose version is blocked is
// found only if all are blocked.
func testBlockedAliases(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	const alias = "twin.pdb/1"
	change := func(operation, key string, do func(tx *db.Tx, v db.VersionRow) error) {
		_, err := s.Change(ctx, &db.Change{FeedID: id, Operation: operation, Kind: proget.VersionEdited}, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", key)
			require.NoError(t, err)
			return do(tx, v)
		})
		require.NoError(t, err)
	}
	block := func(operation, key string, blocked bool) {
		change(operation, key, func(tx *db.Tx, v db.VersionRow) error {
			return tx.SetStatus(ctx, v.ID, proget.Status{Listed: true, Blocked: blocked})
		})
	}
	found := func() string {
		_, key, _, err := s.FindAlias(ctx, id, alias)
		require.NoError(t, err)
		return key
	}
	for n, key := range []string{"1.0.1", "1.0.2", "1.0.3"} {
		_, err := publish(ctx, s, id, "publish "+key, version(n+1))
		require.NoError(t, err)
		f := proget.File{Name: "twin.snupkg", Size: 7, StorageKey: "blobs/twin " + key, Digests: proget.Digests{proget.SHA256: "ab"}}
		known, err := s.FindUpload(ctx, id, "acme.lib", f)
		require.NoError(t, err)
		change("twin of "+key, key, func(tx *db.Tx, v db.VersionRow) error {
			return tx.JoinVersion(ctx, v, &f, []string{alias}, known)
		})
	}
	require.Equal(t, "1.0.3", found())
	block("block 3", "1.0.3", true)
	require.Equal(t, "1.0.2", found())
	block("block 1", "1.0.1", true)
	require.Equal(t, "1.0.2", found())
	block("block 2", "1.0.2", true)
	require.Equal(t, "1.0.3", found(), "the answer is about the newest")
	block("allow 1", "1.0.1", false)
	require.Equal(t, "1.0.1", found())
}
