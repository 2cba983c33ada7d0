package publish_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

// TestSpaceAtTheEnd: no name ends in a space, since some databases take it for the name
// without it.
func TestSpaceAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*feed.Manifest){
		"package":        func(m *feed.Manifest) { m.Name = "a " },
		"version":        func(m *feed.Manifest) { m.Version = "1 " },
		"file":           func(m *feed.Manifest) { m.FileName = "a-1 " },
		"tag":            func(m *feed.Manifest) { m.Tags = []string{"good", "new "} },
		"alias":          func(m *feed.Manifest) { m.Aliases = []string{"good", "a.pdb "} },
		"file beside it": func(m *feed.Manifest) { m.Refers = []proget.File{{Name: "b "}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t, "mem:")
			typ := plain()
			inspect := typ.Inspect
			typ.Inspect = func(ctx context.Context, f feed.File) (*feed.Manifest, error) {
				m, err := inspect(ctx, f)
				change(m)
				return m, err
			}
			p := publish.New(in.store(t), storage.NewSet(in.blobs, nil), []feed.Type{typ}, &publish.Options{Logger: dark})
			_, err := p.Publish(t.Context(), in.upload("a@1", strings.NewReader("body")))
			require.ErrorIs(t, err, proget.ErrInvalid)
			require.Contains(t, proget.Message(err), "ends in a space")
			require.Empty(t, in.objects(t))
			in.requireNothing(t)
		})
	}
	t.Run("moved tag", func(t *testing.T) {
		t.Parallel()
		in := newInstallation(t, "mem:")
		p := in.publisher(t)
		_, err := p.Publish(t.Context(), in.upload("a@1", strings.NewReader("body")))
		require.NoError(t, err)
		err = p.Tag(t.Context(), feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}, "new ", ann)
		require.ErrorIs(t, err, proget.ErrInvalid)
	})
}
