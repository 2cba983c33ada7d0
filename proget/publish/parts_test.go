package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// parts is a feed type whose uploads say "name@version/file": a file that ends in
// .extra is an addition, one that ends in .silent says nothing of its version.
func parts() feed.Type {
	t := plain()
	t.Inspect = func(_ context.Context, f feed.File) (*feed.Manifest, error) {
		version, file, _ := strings.Cut(f.Name, "/")
		name, version, _ := strings.Cut(version, "@")
		m := &feed.Manifest{Name: name, Version: version, Role: feed.Part, FileName: file, Data: file, FileData: f.Size, Aliases: []string{"alias of " + file, "common"}}
		if strings.HasSuffix(file, ".extra") {
			m.Role = feed.Extra
		}
		if strings.HasSuffix(file, ".silent") {
			m.Data = nil
		}
		return m, nil
	}
	return t
}

// partsPublisher is a server's own publisher of parts.
func (in *installation) partsPublisher(t *testing.T) *publish.Publisher {
	t.Helper()
	return publish.New(in.store(t), storage.NewSet(in.blobs, nil), []feed.Type{parts()}, &publish.Options{MaxSize: maxSize, Logger: dark})
}

// TestParts: files join their version, each with what is known of it, and are
// found by their aliases; they go and come back together.
func TestParts(t *testing.T) {
	t.Parallel()
	ctx, in := t.Context(), newInstallation(t, "mem:")
	p := in.partsPublisher(t)
	_, err := p.Publish(ctx, in.upload("a@1/x.extra", strings.NewReader("none")))
	require.ErrorIs(t, err, proget.ErrNotFound, "an addition needs something to be added to")
	in.requireNothing(t)
	require.Empty(t, in.objects(t))
	for _, file := range []string{"one", "two", "x.extra", "y.silent"} {
		v, err := p.Publish(ctx, in.upload("a@1/"+file, strings.NewReader("of "+file)))
		require.NoError(t, err)
		require.Equal(t, file, v.Files[0].Name)
	}
	_, err = p.Publish(ctx, in.upload("a@1/ONE", strings.NewReader("other bytes")))
	require.ErrorIs(t, err, proget.ErrConflict)
	require.Contains(t, proget.Message(err), "a 1 already has the file ONE")
	for _, file := range []string{"one", "x.extra"} {
		v, err := p.Publish(ctx, in.upload("a@1/"+file, strings.NewReader("of "+file)))
		require.NoError(t, err, "the same again")
		require.Equal(t, file, v.Files[0].Name)
	}
	_, err = p.Publish(ctx, in.upload("a@1/ONE", strings.NewReader("of one")))
	require.ErrorIs(t, err, proget.ErrConflict, "the same bytes under another name")
	require.Len(t, in.objects(t), 4, "what was refused, and what was there, is gone")

	loaded, err := in.db.LoadPackage(ctx, in.feed.ID, "a")
	require.NoError(t, err)
	v := loaded.Versions[0]
	require.JSONEq(t, `"x.extra"`, string(v.Manifest), "the last file that said something")
	var names []string
	for _, f := range v.Files {
		names = append(names, f.Name)
		require.JSONEq(t, fmt.Sprint(len("of "+f.Name)), string(f.Data))
		require.False(t, f.Added.Before(v.Published))
	}
	require.Equal(t, []string{"one", "two", "x.extra", "y.silent"}, names)
	require.Equal(t, []string{"published a 1 by ann", "edited a 1 by ann", "edited a 1 by ann", "edited a 1 by ann"}, in.log(t))

	find := func(alias string) string {
		name, version, file, err := in.db.FindAlias(ctx, in.feed.ID, alias)
		if errors.Is(err, proget.ErrNotFound) {
			return ""
		}
		require.NoError(t, err)
		return name + " " + version + " " + file
	}
	require.Equal(t, "a 1 two", find("alias of two"))
	require.Equal(t, "a 1 y.silent", find("common"), "the newest")
	require.Empty(t, find("alias of three"))
	require.NoError(t, p.Delete(ctx, feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}, ann))
	require.Empty(t, find("alias of two"))
	deleted, err := in.db.ListDeleted(ctx, in.feed.ID, 0, 10)
	require.NoError(t, err)
	back, err := p.Restore(ctx, in.feed, deleted[0].ID, ann)
	require.NoError(t, err)
	require.Equal(t, v.Files[1].Data, back.Files[1].Data)
	require.Equal(t, v.Files[1].Added, back.Files[1].Added)
	require.Equal(t, "a 1 two", find("alias of two"))
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 1, Bytes: int64(len("of oneof twoof x.extraof y.silent"))}, in.totals(t))
}

// TestRestoreTags: a version comes back with its tags, but for one that points at
// another by now.
func TestRestoreTags(t *testing.T) {
	t.Parallel()
	in, ctx := newInstallation(t, "mem:"), t.Context()
	p := in.publisher(t)
	at := func(version string) feed.Ref {
		return feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: version}
	}
	for _, version := range []string{"1", "2"} {
		_, err := p.Publish(ctx, in.upload("a@"+version, strings.NewReader(version)))
		require.NoError(t, err)
	}
	require.NoError(t, p.Tag(ctx, at("1"), "latest", ann))
	require.NoError(t, p.Tag(ctx, at("1"), "v1", ann))
	require.NoError(t, p.Delete(ctx, at("1"), ann))
	require.NoError(t, p.Tag(ctx, at("2"), "latest", ann))
	deleted, err := in.db.ListDeleted(ctx, in.feed.ID, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"latest", "v1"}, deleted[0].Tags)
	_, err = p.Restore(ctx, in.feed, deleted[0].ID, ann)
	require.NoError(t, err)
	found, err := in.db.LoadPackage(ctx, in.feed.ID, "a")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"latest": "2", "v1": "1"}, found.Tags)
}

// TestPartsAtOnce: of many files of a version that no one has begun yet, all get
// in, through whichever server.
func TestPartsAtOnce(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	var all sync.WaitGroup
	for n := range 12 {
		p := in.partsPublisher(t)
		all.Go(func() {
			_, err := p.Publish(t.Context(), in.upload(fmt.Sprintf("a@1/%d", n), strings.NewReader(fmt.Sprint(n))))
			require.NoError(t, err)
		})
	}
	all.Wait()
	loaded, err := in.db.LoadPackage(t.Context(), in.feed.ID, "a")
	require.NoError(t, err)
	require.Len(t, loaded.Versions, 1)
	require.Len(t, loaded.Versions[0].Files, 12)
}

// TestReplacePart: a part takes the place of the one of its name, and of nothing
// else, if whoever uploads it agrees to what is there.
func TestReplacePart(t *testing.T) {
	t.Parallel()
	ctx, in := t.Context(), newInstallation(t, "mem:")
	p := in.partsPublisher(t)
	for _, file := range []string{"one", "two"} {
		_, err := p.Publish(ctx, in.upload("a@1/"+file, strings.NewReader("of "+file)))
		require.NoError(t, err)
	}
	u := in.upload("a@1/one", strings.NewReader("again"))
	u.Replace = func(old *proget.Version, m *feed.Manifest) error {
		require.Len(t, old.Files, 1)
		require.JSONEq(t, "6", string(old.Files[0].Data))
		require.JSONEq(t, `"two"`, string(old.Manifest))
		m.FileData, m.Aliases = "carried over", []string{"new alias"}
		return nil
	}
	_, err := p.Publish(ctx, u)
	require.NoError(t, err)
	_, _, file, err := in.db.FindAlias(ctx, in.feed.ID, "new alias")
	require.NoError(t, err)
	require.Equal(t, "one", file)
	refused := proget.Errorf(proget.ErrInvalid, "no")
	u = in.upload("a@1/two", strings.NewReader("never"))
	u.Replace = func(*proget.Version, *feed.Manifest) error { return refused }
	_, err = p.Publish(ctx, u)
	require.ErrorIs(t, err, refused)
	u = in.upload("a@1/three", strings.NewReader("new"))
	u.Replace = func(old *proget.Version, _ *feed.Manifest) error {
		require.Nil(t, old)
		return nil
	}
	_, err = p.Publish(ctx, u)
	require.NoError(t, err)
	loaded, err := in.db.LoadPackage(ctx, in.feed.ID, "a")
	require.NoError(t, err)
	var got []string
	for _, f := range loaded.Versions[0].Files {
		got = append(got, f.Name+" "+string(in.content(t, f.StorageKey))+" "+string(f.Data))
	}
	require.Equal(t, []string{"two of two 6", `one again "carried over"`, "three new 3"}, got)
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 1, Bytes: int64(len("of twoagainnew"))}, in.totals(t))
}

// TestEdit: of edits at the same time, none is lost.
func TestEdit(t *testing.T) {
	t.Parallel()
	ctx, in := t.Context(), newInstallation(t, "mem:")
	_, err := in.publisher(t).Publish(ctx, in.upload("a@1", strings.NewReader("")))
	require.NoError(t, err)
	ref := feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}
	var all sync.WaitGroup
	for range 10 {
		p := in.publisher(t)
		all.Go(func() {
			require.NoError(t, p.Edit(ctx, ref, ann, func(data json.RawMessage) (any, error) {
				var n int
				err := json.Unmarshal(data, &n)
				return n + 1, err
			}))
		})
	}
	all.Wait()
	refused := errors.New("no")
	require.ErrorIs(t, in.publisher(t).Edit(ctx, ref, ann, func(json.RawMessage) (any, error) { return nil, refused }), refused)
	ref.VersionKey = "2"
	require.ErrorIs(t, in.publisher(t).Edit(ctx, ref, ann, func(json.RawMessage) (any, error) { return nil, nil }), proget.ErrNotFound)
	loaded, err := in.db.LoadPackage(ctx, in.feed.ID, "a")
	require.NoError(t, err)
	require.JSONEq(t, "10", string(loaded.Versions[0].Manifest))
}

// TestAliasBounds: what could not be kept is refused before the transaction.
func TestAliasBounds(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	for name, edit := range map[string]func(*feed.Manifest){
		"long":  func(m *feed.Manifest) { m.Aliases = []string{strings.Repeat("x", feed.MaxAlias+1)} },
		"lines": func(m *feed.Manifest) { m.Aliases = []string{"a\nb"} },
		"empty": func(m *feed.Manifest) { m.Aliases = []string{""} },
		"twice": func(m *feed.Manifest) { m.Aliases = []string{"a", "b", "a"} },
		"bytes": func(m *feed.Manifest) { m.Aliases = []string{"a\xff"} },
		"zero":  func(m *feed.Manifest) { m.Aliases = []string{"a\x00"} },
		"many":  func(m *feed.Manifest) { m.Aliases = make([]string, feed.MaxAliases+1) },
	} {
		u := in.upload("a@1/x", strings.NewReader("x"))
		u.Check = func(m *feed.Manifest) error {
			edit(m)
			return nil
		}
		_, err := in.partsPublisher(t).Publish(t.Context(), u)
		require.ErrorIs(t, err, proget.ErrInvalid, name)
	}
	in.requireNothing(t)
}

// TestReplaceKeepsBlock: who may publish does not lift what an administrator has
// blocked.
func TestReplaceKeepsBlock(t *testing.T) {
	t.Parallel()
	ctx, in := t.Context(), newInstallation(t, "mem:")
	p := in.publisher(t)
	_, err := p.Publish(ctx, in.upload("a@1", strings.NewReader("first")))
	require.NoError(t, err)
	ref := feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}
	require.NoError(t, p.SetStatus(ctx, ref, ann, func(s *proget.Status) { s.Blocked, s.Listed = true, false }))
	u := in.upload("a@1", strings.NewReader("second"))
	u.Replace = always
	v, err := p.Publish(ctx, u)
	require.NoError(t, err)
	require.Equal(t, proget.Status{Listed: true, Blocked: true}, v.Status)
	loaded, err := in.db.LoadPackage(ctx, in.feed.ID, "a")
	require.NoError(t, err)
	require.Equal(t, v.Status, loaded.Versions[0].Status)
}

// TestReasonBound: a reason that is too long is refused, and the status stays; one that
// a version has already keeps nobody from changing the rest.
func TestReasonBound(t *testing.T) {
	t.Parallel()
	ctx, in := t.Context(), newInstallation(t, "mem:")
	p := in.publisher(t)
	_, err := p.Publish(ctx, in.upload("a@1", strings.NewReader("first")))
	require.NoError(t, err)
	ref := feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}
	longest := strings.Repeat("ж", proget.MaxReason)
	require.NoError(t, p.SetStatus(ctx, ref, ann, func(s *proget.Status) { s.Deprecated = longest }))
	err = p.SetStatus(ctx, ref, ann, func(s *proget.Status) { s.Deprecated, s.Blocked = longest+"x", true })
	require.ErrorIs(t, err, proget.ErrInvalid)
	require.Contains(t, proget.Message(err), "longer than 1000 characters")
	status := func() proget.Status {
		loaded, err := in.db.LoadPackage(ctx, in.feed.ID, "a")
		require.NoError(t, err)
		return loaded.Versions[0].Status
	}
	require.Equal(t, proget.Status{Listed: true, Deprecated: longest}, status())

	older := longest + " of a release without the bound"
	require.NoError(t, in.db.Tx(ctx, func(tx *db.Tx) error {
		v, err := tx.FindVersion(ctx, in.feed.ID, "a", "1")
		require.NoError(t, err)
		return tx.SetStatus(ctx, v.ID, proget.Status{Listed: true, Deprecated: older})
	}))
	require.NoError(t, p.SetStatus(ctx, ref, ann, func(s *proget.Status) { s.Listed = false }))
	require.Equal(t, proget.Status{Deprecated: older}, status())
}

// TestGuard: a server that must not change anything changes nothing.
func TestGuard(t *testing.T) {
	t.Parallel()
	ctx, in := t.Context(), newInstallation(t, "mem:")
	_, err := in.publisher(t).Publish(ctx, in.upload("a@1", strings.NewReader("first")))
	require.NoError(t, err)
	unsure := proget.Errorf(proget.ErrUnavailable, "not now")
	p := publish.New(in.store(t), storage.NewSet(in.blobs, nil), []feed.Type{plain()}, &publish.Options{Logger: dark, Guard: func(context.Context, int64) error { return unsure }})
	ref := feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}
	_, err = p.Publish(ctx, in.upload("a@2", strings.NewReader("second")))
	require.ErrorIs(t, err, unsure)
	require.ErrorIs(t, p.SetStatus(ctx, ref, ann, func(s *proget.Status) { s.Listed = false }), unsure)
	require.ErrorIs(t, p.Edit(ctx, ref, ann, func(json.RawMessage) (any, error) { return 1, nil }), unsure)
	require.ErrorIs(t, p.Tag(ctx, ref, "latest", ann), unsure)
	require.ErrorIs(t, p.Untag(ctx, ref, "latest", ann), unsure)
	require.ErrorIs(t, p.Delete(ctx, ref, ann), unsure)
	_, err = p.Restore(ctx, in.feed, 1, ann)
	require.ErrorIs(t, err, unsure)
	require.Len(t, in.log(t), 1)
	require.Len(t, in.objects(t), 1)
}
