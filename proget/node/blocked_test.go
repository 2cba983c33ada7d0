package node_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/maven"
	"github.com/proget-go/ha/proget/feed/npm"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/feed/oci"
	"github.com/proget-go/ha/proget/node"
)

// TestBlockedIsKept: no client of a feed ends a block by deleting a version, which an
// administrator can do.
func TestBlockedIsKept(t *testing.T) {
	t.Parallel()
	server := newWorld(t).start(t, "a", everyType, func(c *node.Config) {
		c.Feeds = []feed.Type{nuget.New(&nuget.Options{HardDelete: true}), maven.New(), npm.New(), oci.New()}
	}).URL
	push(t, http.StatusCreated, server, "nuget", "1.0.0", apiKey)
	putNPM(t, server, "tool", "1.0.0")
	putFile(t, server, "maven/upload/com/acme/lib/1.0/lib-1.0.jar", archive(t, "A.class", "a"))
	manage(t, http.StatusOK, "POST", server+"/api/management/feeds/create", `{"name":"images","feedType":"docker"}`)
	const image = `{"schemaVersion":2,"manifests":[]}`
	sum := digest.FromString(image).String()
	resp, text := ask(t, "PUT", server+"/v2/images/app/manifests/latest", []byte(image), "X-ApiKey", administrator, "Content-Type", "application/vnd.oci.image.index.v1+json")
	require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	for name, path := range map[string]string{
		"nuget":  "/nuget/nuget/api/v2/package/Acme.Lib/1.0.0",
		"npm":    "/npm/npm/tool/-/tool-1.0.0.tgz/-rev/1-0",
		"maven":  "/maven2/maven/com/acme/lib/1.0",
		"images": "/v2/images/app/manifests/" + sum,
	} {
		packages := server + "/api/packages/" + name + "/"
		lines := listed(t, packages+"versions")
		require.Len(t, lines, 1, name)
		query := "?purl=" + url.QueryEscape(lines[0].PURL)
		manage(t, http.StatusOK, "POST", packages+"status"+query, `{"allow":false}`)
		require.Contains(t, manage(t, http.StatusConflict, "DELETE", server+path, ""), "unblock it before you delete it", name)
		require.Len(t, listed(t, packages+"versions"), 1, name)
		manage(t, http.StatusOK, "POST", packages+"status"+query, `{"allow":true}`)
		resp, text := ask(t, "DELETE", server+path, nil, "X-ApiKey", administrator)
		require.Equal(t, 2, resp.StatusCode/100, "%s: %s", name, text)
		require.Empty(t, listed(t, packages+"versions"), name)
	}
	push(t, http.StatusCreated, server, "nuget", "2.0.0", apiKey)
	const nugets = "/api/packages/nuget/"
	manage(t, http.StatusOK, "POST", server+nugets+"status?name=Acme.Lib&version=2.0.0", `{"allow":false}`)
	manage(t, http.StatusOK, "POST", server+nugets+"delete?name=Acme.Lib&version=2.0.0", "")
	require.Empty(t, listed(t, server+nugets+"versions"))
}
