package node_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
		"a long name":    {"Name", func(c *node.Config) { c.Name = strings.Repeat("n", 5000) }},
		"a name's lines": {"Name", func(c *node.Config) { c.Name = "a\nb" }},
		"a zero byte":    {"Name", func(c *node.Config) { c.Name = "a\x00" }},
	} {
		cfg := w.config(t, "a")
		c.change(&cfg)
		_, err := node.New(t.Context(), cfg)
		require.ErrorContains(t, err, c.field, name)
	}
}
