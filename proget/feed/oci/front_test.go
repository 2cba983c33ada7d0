package oci

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestFront: a repository is shown by what has a tag, not by what is attached to it.
func TestFront(t *testing.T) {
	t.Parallel()
	p := &feed.Package{Package: &proget.Package{}}
	for _, key := range []string{"old", "platform", "index", "signature", "attestation"} {
		p.Versions = append(p.Versions, &proget.Version{Key: key})
	}
	typ := New()
	require.Same(t, p, typ.Front(p), "nothing has a tag")
	p.Tags = map[string]string{"1.0": "old", "2.0": "index", "latest": "index", "sha256-" + strings.Repeat("0", 64) + ".sig": "signature"}
	front := typ.Front(p)
	require.Equal(t, []*proget.Version{p.Versions[0], p.Versions[2]}, front.Versions)
	require.Len(t, p.Versions, 5, "the package is shared")
}
