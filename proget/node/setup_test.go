package node_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/node"
)

// TestSecretsAreNotLost: what a first start would generate is returned by Initialize
// alone, so a node that would throw it away does not start.
func TestSecretsAreNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, first := range []node.FirstStart{{}, {Password: "password"}, {APIKey: apiKey}} {
		cfg := w.config(t, "a")
		cfg.FirstStart = &first
		_, err := node.New(t.Context(), cfg)
		require.ErrorContains(t, err, "FirstStart needs a Password and an APIKey")
	}
	cfg := w.config(t, "a")
	secrets, err := node.Initialize(t.Context(), cfg.DB, cfg.Feeds, node.FirstStart{})
	require.NoError(t, err)
	require.NotEmpty(t, secrets.Password)
	require.NotEmpty(t, secrets.APIKey)
	secrets, err = node.Initialize(t.Context(), cfg.DB, cfg.Feeds, node.FirstStart{})
	require.NoError(t, err)
	require.Nil(t, secrets, "it was done already")
}

// TestInitializeRefuses: what cannot fill the database is an error, not taken for what
// another has done, and leaves the database as it was.
func TestInitializeRefuses(t *testing.T) {
	t.Parallel()
	odd := nuget.New(nil)
	odd.Name = "nu/get v3"
	cfg := newWorld(t).config(t, "a")
	for name, refused := range map[string]struct {
		types []feed.Type
		feeds []*proget.Feed
	}{
		"a type twice":           {types: []feed.Type{nuget.New(nil), nuget.New(nil)}},
		"a type of no feed name": {types: []feed.Type{odd}},
		"a feed that is nil":     {types: []feed.Type{nuget.New(nil)}, feeds: []*proget.Feed{nil}},
	} {
		_, err := node.Initialize(t.Context(), cfg.DB, refused.types, node.FirstStart{Feeds: refused.feeds})
		require.ErrorIs(t, err, proget.ErrInvalid, name)
	}
	secrets, err := node.Initialize(t.Context(), cfg.DB, cfg.Feeds, node.FirstStart{})
	require.NoError(t, err)
	require.NotNil(t, secrets)
}
