package publish_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

// inFolder is an installation whose objects can be damaged, and their folder.
func inFolder(t *testing.T) (*installation, string) {
	t.Helper()
	folder := t.TempDir()
	return newInstallation(t, "file:///"+strings.TrimPrefix(filepath.ToSlash(folder), "/")), folder
}

// file is the first file of the only version of a package.
func (in *installation) file(t *testing.T, key string) proget.File {
	t.Helper()
	p, err := in.db.LoadPackage(t.Context(), in.feed.ID, key)
	require.NoError(t, err)
	return p.Versions[0].Files[0]
}

// TestAgainMends: an upload that changes nothing, or is refused, because the version has
// the same file, takes the place of that if it is lost, and the log says so.
func TestAgainMends(t *testing.T) {
	t.Parallel()
	refused := proget.Errorf(proget.ErrInvalid, "no")
	for name, c := range map[string]struct {
		typ     feed.Type
		upload  string
		replace func(*proget.Version, *feed.Manifest) error
		want    error
	}{
		"a whole version":           {typ: plain(), upload: "a@1", want: proget.ErrConflict},
		"a part":                    {typ: parts(), upload: "a@1/one"},
		"a part that Replace keeps": {typ: parts(), upload: "a@1/one", replace: func(*proget.Version, *feed.Manifest) error { return refused }, want: refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, folder := inFolder(t)
			p := publish.New(in.store(t), storage.NewSet(in.blobs, nil), []feed.Type{c.typ}, &publish.Options{Logger: dark})
			first, err := p.Publish(t.Context(), in.upload(c.upload, strings.NewReader("same")))
			require.NoError(t, err)
			again := func() *proget.Version {
				u := in.upload(c.upload, strings.NewReader("same"))
				u.Replace = c.replace
				v, err := p.Publish(t.Context(), u)
				require.ErrorIs(t, err, c.want)
				return v
			}
			again()
			require.Len(t, in.log(t), 1, "nothing is to be mended")
			require.NoError(t, os.WriteFile(filepath.Join(folder, filepath.FromSlash(first.Files[0].StorageKey)), []byte("none"), 0o600))
			v := again()
			f := in.file(t, "a")
			require.Equal(t, "same", string(in.content(t, f.StorageKey)))
			require.Equal(t, first.Files[0].Added, f.Added)
			if c.want == nil {
				require.Equal(t, f.StorageKey, v.Files[0].StorageKey)
			}
			require.Equal(t, []string{"published a 1 by ann", "edited a 1 by ann"}, in.log(t))
			again()
			require.Len(t, in.log(t), 2, "it is whole now")

			u := in.upload(c.upload, strings.NewReader("else"))
			u.Replace = c.replace
			_, err = p.Publish(t.Context(), u)
			require.Error(t, err)
			require.Equal(t, "same", string(in.content(t, in.file(t, "a").StorageKey)), "other bytes mend nothing")
		})
	}
}

// TestAgainMendsElsewhere: if the feed has another storage by now, what is lost in the
// former one is mended in the present one, by an older copy if there is one.
func TestAgainMendsElsewhere(t *testing.T) {
	t.Parallel()
	for name, copies := range map[string]int{"no copy": 0, "a copy": 1, "a lost copy": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, folder := inFolder(t)
			st := &proget.Storage{Name: "other", URL: "mem:"}
			require.NoError(t, in.db.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateStorage(t.Context(), st) }))
			set := storage.NewSet(in.blobs, func(context.Context, int64) (string, error) { return st.URL, nil })
			other, err := set.Store(t.Context(), st.ID)
			require.NoError(t, err)
			p := publish.New(in.store(t), set, []feed.Type{parts()}, &publish.Options{Logger: dark})
			push := func(name string) *proget.Version {
				v, err := p.Publish(t.Context(), in.upload(name, strings.NewReader("same")))
				require.NoError(t, err)
				return v
			}
			lost := push("a@1/one").Files[0]
			require.NoError(t, os.Remove(filepath.Join(folder, filepath.FromSlash(lost.StorageKey))))
			in.feed.StorageID = st.ID
			var older string
			if copies > 0 {
				older = push("b@1/one").Files[0].StorageKey
			}
			if copies > 1 {
				require.NoError(t, other.Delete(t.Context(), older))
			}
			v := push("a@1/one")
			f := in.file(t, "a")
			require.Equal(t, []any{st.ID, f.StorageKey}, []any{f.StorageID, v.Files[0].StorageKey})
			require.Equal(t, copies == 1, f.StorageKey == older)
			require.NoError(t, other.Verify(t.Context(), storage.Blob{Key: f.StorageKey, Size: f.Size, Digests: lost.Digests}, nil))
			n := 0
			for _, err := range other.List(t.Context(), "") {
				require.NoError(t, err)
				n++
			}
			require.Equal(t, 1, n, "one object is enough")
		})
	}
}
