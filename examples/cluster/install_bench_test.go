package main_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// treeSize is how many packages an installation brings.
const treeSize = 100

// BenchmarkInstall has real clients install a tree of 100 packages, each of which
// needs the two after it, through one node and through the load balancer and so
// three; npm also from Verdaccio. A client's caches are empty each time.
func BenchmarkInstall(b *testing.B) {
	c := start(b)
	verdaccio := testenv.StartVerdaccio(b)
	node := c.role("web")[0].URL
	b.Run("npm", func(b *testing.B) {
		n := testenv.FindNPM(b, node+"/npm/npm", c.APIKey)
		for i := range treeSize {
			for _, registry := range []string{node + "/npm/npm", verdaccio.URL} {
				publishTree(b, registry, c.APIKey, i)
			}
		}
		for name, registry := range map[string]string{"one node": node + "/npm/npm", "three nodes": c.LoadBalancer.URL + "/npm/npm", "Verdaccio": verdaccio.URL} {
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					dir := n.Folder(`{"name":"app","version":"1.0.0","dependencies":{"tree-0":"1.0.0"}}`)
					n.Run("npm", dir, "install", "--no-audit", "--registry", registry, "--cache", b.TempDir())
					installed, err := os.ReadDir(filepath.Join(dir, "node_modules"))
					require.NoError(b, err)
					require.GreaterOrEqual(b, len(installed), treeSize)
				}
			})
		}
	})
	b.Run("dotnet", func(b *testing.B) {
		dotnet := testenv.FindDotnet(b)
		dir := b.TempDir()
		dotnet.Run(dir, "new", "classlib", "-o", ".", "-n", "app", "-f", "netcoreapp3.1", "--no-restore")
		references := ""
		for i := range treeSize {
			id := fmt.Sprintf("Tree%d", i)
			status, err := push(b.Context(), http.DefaultClient, node, c.APIKey, testenv.Nupkg(b, id, "1.0.0"))
			require.NoError(b, err)
			require.Equal(b, http.StatusCreated, status)
			references += `<PackageReference Include="` + id + `" Version="1.0.0" />`
		}
		project := `<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>netcoreapp3.1</TargetFramework></PropertyGroup><ItemGroup>` + references + `</ItemGroup></Project>`
		require.NoError(b, os.WriteFile(filepath.Join(dir, "app.csproj"), []byte(project), 0o600))
		for name, url := range map[string]string{"one node": node, "three nodes": c.LoadBalancer.URL} {
			b.Run(name, func(b *testing.B) {
				config := `<configuration><packageSources><clear/><add key="feed" value="` + url + `/nuget/nuget/v3/index.json"/></packageSources></configuration>`
				require.NoError(b, os.WriteFile(filepath.Join(dir, "NuGet.Config"), []byte(config), 0o600))
				for b.Loop() {
					dotnet.Run(dir, "restore", "--no-cache", "--force")
				}
			})
		}
	})
}

// publishTree publishes one package of the tree.
func publishTree(b *testing.B, registry, key string, i int) {
	b.Helper()
	name, dependencies := fmt.Sprintf("tree-%d", i), map[string]string{}
	for _, next := range []int{2*i + 1, 2*i + 2} {
		if next < treeSize {
			dependencies[fmt.Sprintf("tree-%d", next)] = "^1.0.0"
		}
	}
	manifest := map[string]any{"name": name, "version": "1.0.0", "license": "MIT", "dependencies": dependencies}
	text, err := json.Marshal(manifest)
	require.NoError(b, err)
	tarball := testenv.Tarball(b, "package/package.json", string(text), "package/index.js", "module.exports = 1\n")
	one, five := sha1.Sum(tarball), sha512.Sum512(tarball)
	file := name + "-1.0.0.tgz"
	manifest["dist"] = map[string]string{"shasum": hex.EncodeToString(one[:]), "integrity": "sha512-" + base64.StdEncoding.EncodeToString(five[:]), "tarball": registry + "/" + name + "/-/" + file}
	doc, err := json.Marshal(map[string]any{"_id": name, "name": name, "dist-tags": map[string]string{"latest": "1.0.0"}, "versions": map[string]any{"1.0.0": manifest},
		"_attachments": map[string]any{file: map[string]any{"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tarball), "length": len(tarball)}}})
	require.NoError(b, err)
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPut, registry+"/"+name, bytes.NewReader(doc))
	require.NoError(b, err)
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("api", key)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b, err)
	_ = resp.Body.Close()
	require.Equal(b, http.StatusCreated, resp.StatusCode)
}
