package dbtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

func testTags(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	for n := range 3 {
		v := version(n)
		v.Files = append(v.Files, proget.File{Name: "more", Size: 1, StorageKey: fmt.Sprint("more", n), Digests: proget.Digests{proget.SHA256: fmt.Sprintf("%064d", n)}})
		_, err := publish(ctx, s, id, fmt.Sprint(n), v)
		require.NoError(t, err)
	}
	change := func(operation string, fn func(tx *db.Tx) error) error {
		_, err := s.Change(ctx, &db.Change{FeedID: id, Operation: operation, Kind: proget.TagMoved}, fn)
		return err
	}
	tag := func(operation, name string, n int) error {
		return change(operation, func(tx *db.Tx) error {
			v, err := tx.FindVersion(ctx, id, "acme.lib", version(n).Key)
			if err != nil {
				return err
			}
			return tx.SetTag(ctx, v.PackageID, name, v.ID)
		})
	}
	tags := func() map[string]string {
		p, err := s.LoadPackage(ctx, id, "acme.lib")
		require.NoError(t, err)
		for _, v := range p.Versions {
			require.Len(t, v.Files, 2, "whatever the number of tags")
		}
		return p.Tags
	}
	require.Empty(t, tags())
	require.NoError(t, tag("a", "latest", 0))
	require.NoError(t, tag("b", "next", 0))
	require.NoError(t, tag("c", "Next", 1))
	require.NoError(t, tag("d", "latest", 2))
	require.Equal(t, map[string]string{"latest": "1.0.2", "next": "1.0.0", "Next": "1.0.1"}, tags())
	require.ErrorIs(t, tag("e", "latest", 9), proget.ErrNotFound)

	require.NoError(t, change("f", func(tx *db.Tx) error { return tx.DeleteTag(ctx, id, "acme.lib", "next") }))
	require.ErrorIs(t, change("g", func(tx *db.Tx) error { return tx.DeleteTag(ctx, id, "acme.lib", "next") }), proget.ErrNotFound)
	require.ErrorIs(t, change("h", func(tx *db.Tx) error { return tx.DeleteTag(ctx, id, "none", "Next") }), proget.ErrNotFound)
	require.NoError(t, change("i", func(tx *db.Tx) error {
		v, err := tx.FindVersion(ctx, id, "acme.lib", version(2).Key)
		if err == nil {
			_, _, err = tx.DeleteVersion(ctx, v, "tester")
		}
		return err
	}))
	require.Equal(t, map[string]string{"Next": "1.0.1"}, tags())

	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() { assert.NoError(t, tag(fmt.Sprint("race", n), "race", n%2)) })
	}
	all.Wait()
	require.Contains(t, []string{"1.0.0", "1.0.1"}, tags()["race"])
}

func testWide(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	v := version(1)
	const many = 1000
	for n := range many {
		v.Files = append(v.Files, proget.File{Name: fmt.Sprintf("layer%d", n), Size: 1, StorageKey: fmt.Sprint("layer", n), Digests: proget.Digests{proget.SHA256: fmt.Sprintf("%064d", n)}})
	}
	_, err := s.Change(ctx, &db.Change{FeedID: id, Operation: "one", Kind: proget.VersionPublished, PackageKey: "acme.lib"}, func(tx *db.Tx) error {
		_, err := tx.AddVersion(ctx, id, "acme.lib", v, nil, nil)
		for n := 0; n < many && err == nil; n++ {
			err = tx.SetTag(ctx, v.PackageID, fmt.Sprintf("tag%03d", n), v.ID)
		}
		return err
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // package catalog's limit
	defer cancel()
	p, err := s.LoadPackage(ctx, id, "acme.lib")
	require.NoError(t, err)
	require.Equal(t, []*proget.Version{v}, p.Versions)
	require.Len(t, p.Tags, many)
}
