package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget"
)

// noGrace is over before it begins, whatever the grain of the clock.
const noGrace = -time.Minute

func TestCollect(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	kept := in.mustPush(t, "1", "a same")
	in.mustPush(t, "2", "a same")
	gone := in.mustPush(t, "3", "a other")
	for _, version := range []string{"2", "3"} {
		require.NoError(t, in.delete(t.Context(), "a", version))
	}
	_, err := run(t, in.collector(time.Hour), "")
	require.NoError(t, err)
	require.Len(t, in.files(t), 2, "within the grace period nothing goes")

	said, err := run(t, in.collector(noGrace), upkeep.Preview)
	require.NoError(t, err)
	require.Contains(t, said, "Would free 1 file (7 bytes) of deleted versions and 0 files")
	require.Len(t, in.files(t), 2, "a preview only tells")

	said, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	require.Equal(t, "1 file (7 bytes) freed", said)
	require.Equal(t, []string{kept.Files[0].StorageKey}, in.files(t))
	require.Equal(t, "a same", in.content(t, kept.Files[0]))
	_, err = in.blobs.Open(t.Context(), gone.Files[0].StorageKey)
	require.ErrorIs(t, err, proget.ErrNotFound)
	last, err := in.db.ListObjects(t.Context(), 0, "", 10)
	require.NoError(t, err)
	require.Len(t, last, 1, "its row is gone, too")
	deleted, err := in.db.ListDeleted(t.Context(), in.feed.ID, 0, 10)
	require.NoError(t, err)
	require.Empty(t, deleted, "what cannot come back is not offered")
}

// TestBringBack: a deleted version comes back within its grace period.
func TestBringBack(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	v := in.mustPush(t, "1", "a x")
	require.NoError(t, in.delete(t.Context(), "a", "1"))
	_, err := run(t, in.collector(time.Hour), "")
	require.NoError(t, err)
	deleted, err := in.db.ListDeleted(t.Context(), in.feed.ID, 0, 10)
	require.NoError(t, err)
	require.Len(t, deleted, 1)
	back, err := in.publisher.Restore(t.Context(), in.feed, deleted[0].ID, ann)
	require.NoError(t, err)
	require.Equal(t, v.Files[0].StorageKey, back.Files[0].StorageKey)
	require.Equal(t, "a x", in.content(t, in.versions(t, "a")["1"].Files[0]))
	_, err = in.publisher.Restore(t.Context(), in.feed, deleted[0].ID, ann)
	require.ErrorIs(t, err, proget.ErrNotFound)
}

// TestStrays: what was uploaded and never recorded goes once it is old enough,
// whatever the grace period.
func TestStrays(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	kept := in.mustPush(t, "1", "a x").Files[0].StorageKey
	for range 3 {
		_, err := in.blobs.Put(t.Context(), strings.NewReader("stray"), nil)
		require.NoError(t, err)
	}
	half := filepath.Join(in.folder, filepath.Dir(kept), ".tmp-half")
	require.NoError(t, os.WriteFile(half, []byte("half"), 0o600))
	_, err := run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	require.Len(t, in.files(t), 5, "a publisher may be about to record them")
	in.age(t)
	young, err := in.blobs.Put(t.Context(), strings.NewReader("young"), nil)
	require.NoError(t, err)
	said, err := run(t, in.collector(noGrace), upkeep.Preview)
	require.NoError(t, err)
	require.Contains(t, said, "and 3 files (15 bytes) of unrecorded uploads")
	said, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	require.Equal(t, "3 files (15 bytes) freed", said)
	require.ElementsMatch(t, []string{kept, young.Key}, in.files(t))
}

// TestForeign: in a storage that another installation has made its own, objects
// without a row are left alone.
func TestForeign(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ours, err := in.blobs.NewProbe(t.Context(), "cluster")
	require.NoError(t, err)
	theirs, err := in.blobs.Put(t.Context(), strings.NewReader("theirs"), nil)
	require.NoError(t, err)
	in.mustPush(t, "1", "a x")
	require.NoError(t, in.delete(t.Context(), "a", "1"))
	probe, err := in.blobs.NewProbe(t.Context(), "cluster")
	require.NoError(t, err)
	in.age(t)
	c := upkeep.NewCollector(in.db, in.stores, &upkeep.CollectorOptions{Grace: noGrace, Logger: dark,
		Probes: func(context.Context) (map[string]bool, error) { return map[string]bool{ours.Key: true}, nil }})
	_, err = run(t, c, "")
	require.ErrorIs(t, err, upkeep.ErrForeign)
	require.ElementsMatch(t, []string{ours.Key, theirs.Key, probe.Key}, in.files(t), "what our own database knows is freed")
	require.NoError(t, in.blobs.Delete(t.Context(), probe.Key))
	_, err = run(t, c, "")
	require.NoError(t, err)
	require.Equal(t, []string{ours.Key}, in.files(t))
}

// TestProbesOfTheDead: probes that no server uses any more go, too.
func TestProbesOfTheDead(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	var keys []string
	for range 3 {
		p, err := in.blobs.NewProbe(t.Context(), "web-1")
		require.NoError(t, err)
		keys = append(keys, p.Key)
	}
	in.age(t)
	fresh, err := in.blobs.NewProbe(t.Context(), "web-2")
	require.NoError(t, err)
	_, err = run(t, upkeep.NewCollector(in.db, in.stores, &upkeep.CollectorOptions{Logger: dark,
		Probes: func(context.Context) (map[string]bool, error) { return map[string]bool{keys[1]: true}, nil }}), "")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{keys[1], fresh.Key}, in.files(t))
}

// TestCollectWhilePublishing: several publishers push, delete and bring back
// versions of the same few bytes, while two collectors run without any grace.
// Whatever is a version at the end has its bytes.
func TestCollectWhilePublishing(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	done := make(chan struct{})
	var publishers, collectors errgroup.Group
	for range 2 {
		collectors.Go(func() error {
			for {
				if _, err := run(t, in.collector(noGrace), ""); err != nil {
					return err
				}
				select {
				case <-done:
					return nil
				default:
				}
			}
		})
	}
	for p := range 4 {
		publishers.Go(func() error { return in.churn(t.Context(), p) })
	}
	err := publishers.Wait()
	close(done)
	require.NoError(t, errors.Join(err, collectors.Wait()))
	for p := range 4 {
		all := in.versions(t, fmt.Sprint("p", p))
		for n := range rounds {
			if n%2 == 1 {
				require.Contains(t, all, fmt.Sprint(n))
			}
		}
		for _, v := range all {
			in.requireWhole(t, v.Files[0])
		}
	}
	_, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	require.LessOrEqual(t, len(in.files(t)), 12, "the same bytes are stored once, or a second time if the first were about to go")
}

const rounds = 30

// churn publishes versions of three contents; every second one is deleted, and
// brought back if it can be.
func (in *installation) churn(ctx context.Context, p int) error {
	for n := range rounds {
		version := fmt.Sprint(n)
		if _, err := in.push(ctx, version, fmt.Sprintf("p%d %d", p, n%3)); err != nil {
			return err
		}
		if n%2 == 1 {
			continue
		}
		if err := in.delete(ctx, fmt.Sprint("p", p), version); err != nil {
			return err
		}
		deleted, err := in.db.ListDeleted(ctx, in.feed.ID, 0, 3)
		if err != nil {
			return err
		}
		for _, d := range deleted {
			_, err := in.publisher.Restore(ctx, in.feed, d.ID, ann)
			if err != nil && !errors.Is(err, proget.ErrNotFound) && !errors.Is(err, proget.ErrConflict) {
				return err
			}
		}
	}
	return nil
}
