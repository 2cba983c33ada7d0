package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// TestOCI: OCI's conformance program passes through the load balancer, each
// request reaching another node, and the clients that people use push, pull,
// copy, sign and list what each other has pushed.
func TestOCI(t *testing.T) {
	t.Parallel()
	c := start(t)
	r := testenv.FindContainers(t, c.LoadBalancer.URL, "api", c.APIKey)
	summary, err := r.Conform("docker/conformance/one", "docker/conformance/two")
	require.NoError(t, err, summary)
	require.Contains(t, summary, "Blob chunked..................:       Pass")
	require.Contains(t, summary, "Referrers.....................:       Pass")

	in := func(repo string) string { return r.Registry + "/docker/" + repo }
	login := func(flags ...string) []string {
		return append(append([]string{"login"}, flags...), "--username", "api", "--password-stdin", r.Registry)
	}
	dockerfile := r.Write("image/Dockerfile", "FROM scratch\nCOPY hello /hello\n")
	r.Write("image/hello", "hello")
	r.Run("docker", "build", "--quiet", "--tag", in("by/docker:1"), filepath.Dir(dockerfile))
	out, err := r.Try("docker", "push", in("by/docker:1"))
	require.Error(t, err)
	require.Contains(t, out, "permission to publish")
	r.Run("docker", login()...)
	r.Run("docker", "push", in("by/docker:1"))
	r.Run("docker", "push", in("by/docker:1")) // again, which changes nothing
	image := strings.TrimSpace(r.Run("buildah", "from", "scratch"))
	r.Run("buildah", "copy", image, filepath.Join(filepath.Dir(dockerfile), "hello"), "/")
	r.Run("buildah", "commit", "--signature-policy", "policy.json", image, "made:1")
	r.Run("buildah", login("--tls-verify=false")...)
	r.Run("buildah", "push", "--signature-policy", "policy.json", "--tls-verify=false", "made:1", "docker://"+in("by/buildah:1"))
	r.Run("skopeo", login("--tls-verify=false")...)
	r.Run("skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+in("by/docker:1"), "docker://"+in("by/skopeo:1"))
	r.Run("crane", append([]string{"auth"}, login()...)...)
	r.Run("crane", "--insecure", "copy", in("by/buildah:1"), in("by/crane:1"))
	r.Run("crane", "--insecure", "tag", in("by/crane:1"), "latest")
	require.Equal(t, "1\nlatest\n", r.Run("crane", "--insecure", "ls", in("by/crane")))
	require.Contains(t, r.Run("crane", "--insecure", "catalog", r.Registry), "docker/by/skopeo\n")
	r.Run("docker", "rmi", in("by/docker:1"))
	for _, by := range []string{"docker", "buildah", "skopeo", "crane"} {
		r.Run("docker", "pull", in("by/"+by+":1"))
		r.Run("podman", "pull", "--signature-policy", "policy.json", "--tls-verify=false", in("by/"+by+":1"))
		require.Contains(t, r.Run("crane", "--insecure", "export", in("by/"+by+":1"), "-"), "hello", "what %s has pushed", by)
	}

	r.Write("sbom.txt", "nothing in it")
	r.Run("oras", login("--plain-http")...)
	r.Run("oras", "push", "--plain-http", in("by/oras:1"), "--artifact-type", "application/x-list", "sbom.txt")
	r.Run("oras", "attach", "--plain-http", in("by/crane:1"), "--artifact-type", "application/x-sbom", "sbom.txt")
	require.Contains(t, r.Run("oras", "discover", "--plain-http", in("by/crane:1")), "application/x-sbom")
	r.Run("oras", "pull", "--plain-http", in("by/oras:1"), "--output", "pulled")
	text, err := os.ReadFile(filepath.Join(r.Folder, "pulled", "sbom.txt"))
	require.NoError(t, err)
	require.Equal(t, "nothing in it", string(text))

	r.Run("helm", "create", "chart")
	r.Run("helm", "package", "chart")
	r.Run("helm", append([]string{"registry"}, login("--plain-http")...)...)
	r.Run("helm", "push", "chart-0.1.0.tgz", "oci://"+in("charts"), "--plain-http")
	r.Run("helm", "pull", "oci://"+in("charts/chart"), "--version", "0.1.0", "--destination", r.Folder+"/pulled", "--plain-http")
	want, err := os.ReadFile(filepath.Join(r.Folder, "chart-0.1.0.tgz"))
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(r.Folder, "pulled", "chart-0.1.0.tgz"))
	require.NoError(t, err)
	require.Equal(t, want, got)

	r.Run("cosign", "generate-key-pair")
	signed := in("by/docker@" + strings.TrimSpace(r.Run("crane", "--insecure", "digest", in("by/docker:1"))))
	r.Run("cosign", "sign", "--yes", "--tlog-upload=false", "--allow-http-registry", "--allow-insecure-registry", "--key", "cosign.key", signed)
	verify := []string{"verify", "--insecure-ignore-tlog", "--allow-http-registry", "--allow-insecure-registry", "--key", "cosign.pub"}
	require.Contains(t, r.Run("cosign", append(verify, signed)...), "signatures were verified")
	unsigned := in("by/buildah@" + strings.TrimSpace(r.Run("crane", "--insecure", "digest", in("by/buildah:1"))))
	_, err = r.Try("cosign", append(verify, unsigned)...)
	require.Error(t, err)
}
