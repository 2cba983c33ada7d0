package main_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

// TestPyPI: twine publishes through the load balancer what setuptools has built,
// and pip installs it, from wheels and from source, by hashes, and without what
// is yanked.
func TestPyPI(t *testing.T) {
	t.Parallel()
	c := start(t)
	url := c.LoadBalancer.URL + "/pypi/pypi"
	p := testenv.FindPython(t, url, c.APIKey)
	var files []string
	build := func(name, version, module string, setup ...string) (sdist, wheel string) {
		sdist, wheel = p.Build(name, version, module, setup...)
		files = append(files, sdist, wheel)
		return sdist, wheel
	}
	build("Acme.Lib", "1.0", "acme_lib")
	build("Acme.Lib", "1.1", "acme_lib", "python_requires='>=3.6'")
	build("Acme.Lib", "2.0rc1", "acme_lib")
	build("Acme.Lib", "3.0", "acme_lib", "python_requires='>=99'")
	sdist, wheel := build("acme-tool", "1.0+local.1", "acme_tool", "install_requires=['acme_lib>=1.0']", "long_description='Long.'", "classifiers=['Topic :: Utilities']")
	dir := filepath.Dir(wheel)
	p.Run(dir, "twine", append([]string{"upload", "--disable-progress-bar"}, files...)...)
	p.Run(dir, "twine", "upload", "--disable-progress-bar", wheel, sdist) // as a build that is run again does
	otherSdist, other := p.Build("acme-tool", "1.0+local.1", "acme_tool", "url='https://example.com/other'")
	out, err := p.Try(dir, "twine", "upload", "--verbose", "--disable-progress-bar", other)
	require.Error(t, err, "other bytes: %s", out)
	require.Contains(t, out, "409 Conflict")
	require.Contains(t, out, "File already exists")
	require.Contains(t, p.Run(dir, "twine", "upload", "--skip-existing", "--disable-progress-bar", other, otherSdist), "Skipping")
	out, err = p.Try(dir, "twine", "upload", "--password", "wrong", "--disable-progress-bar", wheel)
	require.Error(t, err)
	require.Contains(t, out, "401")
	for _, pip := range p.Pips {
		testPip(t, p, pip, url, c.APIKey, wheel)
		testYanked(t, c, p, pip)
	}
}

// install installs into a fresh folder and returns the text of a module, and what
// pip says.
func install(t *testing.T, p *testenv.Python, pip, module string, args ...string) (text, out string) {
	dir := p.Folder()
	out = p.Run(dir, pip, append([]string{"install", "--target", dir}, args...)...)
	installed, err := os.ReadFile(filepath.Join(dir, module+".py"))
	require.NoError(t, err)
	return string(installed), out
}

// testPip installs and downloads what was published.
func testPip(t *testing.T, p *testenv.Python, pip, url, key, wheel string) {
	var major, minor int
	version := strings.TrimSpace(p.Run(filepath.Dir(wheel), pip, "--version"))
	_, err := fmt.Sscanf(version, "pip %d.%d", &major, &minor)
	require.NoError(t, err, version)
	t.Log(version)
	text, out := install(t, p, pip, "acme_lib", "Acme_Tool")
	require.Contains(t, text, "'1.1'", "neither a prerelease nor what is for another Python")
	if major > 23 || major == 23 && minor >= 2 {
		require.Contains(t, out, "none-any.whl.metadata", "dependencies are known before the wheel is")
	}
	text, _ = install(t, p, pip, "acme_lib", "--pre", "acme-lib")
	require.Contains(t, text, "'2.0rc1'")
	if pip == "pip" { // another's Python may lack what builds a wheel
		text, out = install(t, p, pip, "acme_lib", "--no-binary", ":all:", "--no-build-isolation", "acme-lib==1.0")
		require.Contains(t, text, "'1.0'")
		require.Contains(t, out, "Acme.Lib-1.0.tar.gz")
	}

	dir := p.Folder()
	p.Run(dir, pip, "download", "--index-url", strings.Replace(url, "://", "://api:"+key+"@", 1)+"/simple/", "acme-tool")
	want, err := os.ReadFile(wheel)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(dir, filepath.Base(wheel)))
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Contains(t, p.Run(dir, pip, "index", "versions", "acme.lib"), "Available versions: 1.1, 1.0")

	locked := func(sum [sha256.Size]byte) string {
		return filepath.Join(p.Folder("requirements.txt", fmt.Sprintf("acme-tool==1.0+local.1 --hash=sha256:%x\n", sum)), "requirements.txt")
	}
	install(t, p, pip, "acme_tool", "--no-deps", "--require-hashes", "-r", locked(sha256.Sum256(want)))
	out, err = p.Try(dir, pip, "install", "--target", dir, "--no-deps", "--require-hashes", "-r", locked([sha256.Size]byte{}))
	require.Error(t, err)
	require.Contains(t, out, "DO NOT MATCH")
}

// testYanked deprecates a version, and then blocks it.
func testYanked(t *testing.T, c *cluster, p *testenv.Python, pip string) {
	status := func(body string) {
		a := feedtest.Do(t, feedtest.Request(t, http.MethodPost, c.LoadBalancer.URL+"/api/packages/pypi/status?name=acme-lib&version=1.1", []byte(body), "X-ApiKey", c.APIKey))
		require.Equal(t, http.StatusOK, a.StatusCode, string(a.Body))
	}
	status(`{"deprecated":true,"deprecationReason":"it loses data"}`)
	text, _ := install(t, p, pip, "acme_lib", "acme-lib")
	require.Contains(t, text, "'1.0'")
	text, out := install(t, p, pip, "acme_lib", "acme-lib==1.1")
	require.Contains(t, text, "'1.1'", "who asks for it by its number gets it")
	require.Contains(t, out, "it loses data")
	status(`{"allow":false}`)
	dir := p.Folder()
	out, err := p.Try(dir, pip, "install", "--target", dir, "acme-lib==1.1")
	require.Error(t, err, out)
	status(`{"allow":true,"deprecated":false}`)
}
