package oci_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/oci"
)

// TestNeeds: an index keeps what it lists, however long it is, and an image what is
// attached to it.
func TestNeeds(t *testing.T) {
	t.Parallel()
	typ := oci.New()
	version := func(body []byte) *proget.Version {
		sums := proget.Digests{proget.SHA256: digest.FromBytes(body).Encoded(), proget.SHA512: digest.SHA512.FromBytes(body).Encoded()}
		m, err := typ.Inspect(t.Context(), feed.File{ReaderAt: bytes.NewReader(body), Size: int64(len(body)), Digests: sums})
		require.NoError(t, err)
		data, err := json.Marshal(m.Data)
		require.NoError(t, err)
		return &proget.Version{Key: m.Version, Manifest: data, Files: []proget.File{{Digests: sums}}}
	}
	list := func(more string, of ...digest.Digest) *proget.Version {
		var all []string
		for _, d := range of {
			all = append(all, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, imageType, d))
		}
		return version(fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s],"annotations":{"k":%q}}`, indexType, strings.Join(all, ","), more))
	}
	amd, arm := image("", "amd"), image("", "arm")
	one, two := version(amd), version(arm)
	small := list("", digest.FromBytes(amd), digest.SHA512.FromBytes(arm), digest.FromString("a blob"))
	large := list(strings.Repeat("long ", 20_000), digest.FromBytes(arm))
	signature := version(image(fmt.Sprintf(`,"subject":{"mediaType":%q,"size":5,"digest":%q}`, indexType, small.Key), "{}"))
	loose := version(image(fmt.Sprintf(`,"subject":{"mediaType":%q,"size":5,"digest":%q}`, indexType, digest.FromString("gone")), "{}"))
	require.Equal(t, map[string][]string{
		small.Key: {one.Key, two.Key, signature.Key},
		large.Key: {two.Key},
	}, typ.Needs([]*proget.Version{one, two, small, large, signature, loose}))
}
