package node_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/node"
)

// TestConfigRefused: what cannot be meant is refused by the field's name, before it
// does harm: a negative Grace would free the files of what was just deleted.
func TestConfigRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		field  string
		change func(*node.Config)
	}{
		"Staleness":      {"Staleness", func(c *node.Config) { c.Staleness = -1 }},
		"MaxUpload":      {"MaxUpload", func(c *node.Config) { c.MaxUpload = -1 }},
		"CacheBytes":     {"CacheBytes", func(c *node.Config) { c.CacheBytes = -1 }},
		"UploadIdle":     {"UploadIdle", func(c *node.Config) { c.UploadIdle = -1 }},
		"UploadRate":     {"UploadRate", func(c *node.Config) { c.UploadRate = -1 }},
		"DownloadIdle":   {"DownloadIdle", func(c *node.Config) { c.DownloadIdle = -1 }},
		"MaxRequests":    {"MaxRequests", func(c *node.Config) { c.MaxRequests = -1 }},
		"Grace":          {"Grace", func(c *node.Config) { c.Grace = -1 }},
		"StaleServers":   {"StaleServers", func(c *node.Config) { c.StaleServers = -1 }},
		"LogKept":        {"LogKept", func(c *node.Config) { c.LogKept = -1 }},
		"SnapshotEvery":  {"SnapshotEvery", func(c *node.Config) { c.SnapshotEvery = -1 }},
		"InspectRate":    {"InspectRate", func(c *node.Config) { c.InspectRate = -1 }},
		"JobsAtOnce":     {"JobsAtOnce", func(c *node.Config) { c.JobsAtOnce = -1 }},
		"a query":        {"base URL", func(c *node.Config) { c.BaseURL = "http://localhost/x?y=1" }},
		"a fragment":     {"base URL", func(c *node.Config) { c.BaseURL = "http://localhost/x#y" }},
		"a user":         {"base URL", func(c *node.Config) { c.BaseURL = "http://me:secret@localhost/x" }},
		"no DB":          {"needs a DB", func(c *node.Config) { c.DB = nil }},
		"no Blobs":       {"needs Blobs", func(c *node.Config) { c.Blobs = nil }},
		"no Keys":        {"needs Keys", func(c *node.Config) { c.Keys = nil }},
		"empty Keys":     {"needs Keys", func(c *node.Config) { c.Keys = &auth.Keyring{} }},
		"no Feeds":       {"needs Feeds", func(c *node.Config) { c.Feeds = nil }},
		"a nil worker":   {"Workers", func(c *node.Config) { c.Workers = []indexing.Worker{nil} }},
		"a nil delivery": {"Deliver", func(c *node.Config) { c.Deliver = map[string]indexing.Deliver{"x": nil} }},
		"a nil feed":     {"is nil", func(c *node.Config) { c.FirstStart.Feeds = []*proget.Feed{nil} }},
		"a long name":    {"Name", func(c *node.Config) { c.Name = strings.Repeat("n", 5000) }},
		"a name's lines": {"Name", func(c *node.Config) { c.Name = "a\nb" }},
		"a zero byte":    {"Name", func(c *node.Config) { c.Name = "a\x00" }},
	} {
		cfg := w.config(t, "a")
		c.change(&cfg)
		_, err := node.New(t.Context(), cfg)
		require.ErrorContains(t, err, c.field, name)
		require.NotContains(t, err.Error(), "secret", name)
	}
}
