package publish_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

func TestReplace(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	p := in.publisher(t)
	var last *proget.Version
	for _, body := range []string{"first", "second body", "second body"} {
		u := in.upload("a@1", strings.NewReader(body))
		u.Replace = always
		v, err := p.Publish(t.Context(), u)
		require.NoError(t, err)
		last = v
	}
	loaded, err := in.db.LoadPackage(t.Context(), in.feed.ID, "a")
	require.NoError(t, err)
	require.Equal(t, []*proget.Version{last}, loaded.Versions)
	require.Equal(t, "second body", string(in.content(t, last.Files[0].StorageKey)))
	require.Len(t, in.objects(t), 2, "what was replaced stays for those who are reading it")
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 1, Bytes: int64(len("second body"))}, in.totals(t))
}

// TestRefusedReplacement: a replacement that is refused takes nothing away.
func TestRefusedReplacement(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	v, err := in.publisher(t).Publish(t.Context(), in.upload("a@1", strings.NewReader("first")))
	require.NoError(t, err)
	u := in.upload("a@1", strings.NewReader("second"))
	u.Replace = always
	refused := proget.Errorf(proget.ErrInvalid, "no")
	_, err = in.publisher(t, func() error { return refused }).Publish(t.Context(), u)
	require.ErrorIs(t, err, refused)
	loaded, err := in.db.LoadPackage(t.Context(), in.feed.ID, "a")
	require.NoError(t, err)
	require.Equal(t, []*proget.Version{v}, loaded.Versions)
	require.Equal(t, []string{v.Files[0].StorageKey}, in.objects(t))
}

// TestFits: a type may refuse a package that is new because of those that are there,
// whichever way it comes. For what is there already nothing is asked.
func TestFits(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	var asked []string
	typ := plain()
	typ.Fits = func(ctx context.Context, name string, there feed.Present) error {
		asked = append(asked, name)
		above, err := there.Has(ctx, strings.ToLower(name[:len(name)-1]))
		below, err2 := there.HasPrefix(ctx, strings.ToLower(name)+"x")
		if above || below {
			return proget.Errorf(proget.ErrConflict, "%s does not fit in.", name)
		}
		return errors.Join(err, err2)
	}
	p := publish.New(in.store(t), storage.NewSet(in.blobs, nil), []feed.Type{typ}, &publish.Options{Logger: dark})
	push := func(name string, replace func(*proget.Version, *feed.Manifest) error) error {
		u := in.upload(name, strings.NewReader(name))
		u.Replace = replace
		_, err := p.Publish(t.Context(), u)
		return err
	}
	requireMisfit := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, proget.ErrConflict)
		require.Contains(t, proget.Message(err), "does not fit in")
	}
	require.NoError(t, push("Ax@1", nil))
	requireMisfit(push("A@1", nil))
	requireMisfit(push("A@1", always))
	requireMisfit(push("Axe@1", nil))
	require.Equal(t, []string{"published ax 1 by ann"}, in.log(t))
	require.Len(t, in.objects(t), 1, "what was refused is gone")
	asked = nil
	require.NoError(t, push("Ax@2", nil))
	require.NoError(t, push("Ax@2", always))
	require.ErrorIs(t, push("Ax@2", nil), proget.ErrConflict)
	require.Empty(t, asked)

	for _, version := range []string{"1", "2"} {
		require.NoError(t, p.Delete(t.Context(), feed.Ref{Feed: in.feed, NameKey: "ax", VersionKey: version}, ann))
	}
	require.NoError(t, push("Axe@1", nil))
	deleted, err := in.db.ListDeleted(t.Context(), in.feed.ID, 0, 1)
	require.NoError(t, err)
	_, err = p.Restore(t.Context(), in.feed, deleted[0].ID, ann)
	require.NoError(t, err, "Ax has nothing that begins with Axx")
	require.Equal(t, []string{"Axe", "Ax"}, asked, "by its name, not its key")
	require.NoError(t, p.Delete(t.Context(), feed.Ref{Feed: in.feed, NameKey: "ax", VersionKey: "2"}, ann))
	require.NoError(t, push("Axx@1", nil))
	deleted, err = in.db.ListDeleted(t.Context(), in.feed.ID, 0, 1)
	require.NoError(t, err)
	_, err = p.Restore(t.Context(), in.feed, deleted[0].ID, ann)
	requireMisfit(err)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	p, other := in.publisher(t), in.publisher(t)
	for _, name := range []string{"a@1", "a@2"} {
		_, err := p.Publish(t.Context(), in.upload(name, strings.NewReader(name)))
		require.NoError(t, err)
	}
	ref := feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}
	require.NoError(t, other.Delete(t.Context(), ref, ann))
	loaded, err := in.db.LoadPackage(t.Context(), in.feed.ID, "a")
	require.NoError(t, err)
	require.Len(t, loaded.Versions, 1)
	require.ErrorIs(t, p.Delete(t.Context(), ref, ann), proget.ErrNotFound)
	ref.VersionKey = "2"
	require.NoError(t, p.Delete(t.Context(), ref, ann))
	require.Equal(t, db.FeedStats{}, in.totals(t))
	require.Equal(t, []string{"published a 1 by ann", "published a 2 by ann", "deleted a 1 by ann", "deleted a 2 by ann"}, in.log(t))
	_, err = in.db.LoadPackage(t.Context(), in.feed.ID, "a")
	require.ErrorIs(t, err, proget.ErrNotFound)
	_, err = p.Publish(t.Context(), in.upload("a@1", strings.NewReader("a@1")))
	require.NoError(t, err, "the name is free again")
}

// TestNeeds: what a version needs is there when it is, whoever deletes it meanwhile.
func TestNeeds(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	p, other := in.publisher(t), in.publisher(t)
	needing := func(name string, needs ...string) error {
		u := in.upload(name, strings.NewReader(name))
		u.Check = func(m *feed.Manifest) error {
			m.Needs = needs
			return nil
		}
		_, err := p.Publish(t.Context(), u)
		return err
	}
	for _, name := range []string{"a@1", "a@2"} {
		require.NoError(t, needing(name))
	}
	require.NoError(t, needing("a@both", "2", "1", "2"))
	require.NoError(t, other.Delete(t.Context(), feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}, ann))
	err := needing("a@again", "2", "1")
	require.ErrorIs(t, err, proget.ErrNotFound)
	require.Equal(t, "1, which again needs, is no longer in a: push it again first.", proget.Message(err))
	require.Error(t, needing("b@1", "2"), "a version of another package")
}

// TestStatusEditsAreNotLost: each edit sees what the one before it wrote, from
// whichever server it came.
func TestStatusEditsAreNotLost(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	publishers := []*publish.Publisher{in.publisher(t), in.publisher(t)}
	_, err := publishers[0].Publish(t.Context(), in.upload("a@1", strings.NewReader("body")))
	require.NoError(t, err)
	ref := feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}
	var all sync.WaitGroup
	errs := make([]error, 16)
	for n := range errs {
		all.Go(func() {
			errs[n] = publishers[n%2].SetStatus(t.Context(), ref, ann, func(s *proget.Status) { s.Deprecated += "x" })
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	p, err := in.db.LoadPackage(t.Context(), in.feed.ID, "a")
	require.NoError(t, err)
	require.Equal(t, proget.Status{Listed: true, Deprecated: strings.Repeat("x", 16)}, p.Versions[0].Status)
	require.Len(t, in.log(t), 17)
	ref.VersionKey = "2"
	require.ErrorIs(t, publishers[0].SetStatus(t.Context(), ref, ann, func(*proget.Status) {}), proget.ErrNotFound)
	require.Len(t, in.log(t), 17, "what did not happen is not in the log")
}
