package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// TestNPM: npm, pnpm and both kinds of yarn publish through the load balancer,
// install what each other has published, and change what they say of it.
func TestNPM(t *testing.T) {
	t.Parallel()
	c := start(t)
	n := testenv.FindNPM(t, c.LoadBalancer.URL+"/npm/npm", c.APIKey)
	publish := map[string][]string{
		"npm":   {"publish"},
		"pnpm":  {"publish", "--no-git-checks"},
		"yarn":  {"publish", "--non-interactive", "--new-version", "1.0.0"},
		"berry": {"npm", "publish"},
	}
	dependencies := ""
	for client, args := range publish {
		name := "@acme/by-" + client
		dir := n.Folder(`{"name":"`+name+`","version":"1.0.0","license":"MIT","main":"index.js","bin":"index.js"}`, "index.js", "#!/usr/bin/env node\nmodule.exports = '"+client+"'\n", "yarn.lock", "")
		if client == "berry" {
			n.Run(client, dir, "install", "--no-immutable")
		}
		n.Run(client, dir, args...)
		out, err := n.Try(client, dir, args...)
		require.Error(t, err, "a second time: %s", out)
		dependencies += fmt.Sprintf(`%q: "^1.0.0",`, name)
	}
	dependencies += `"@acme/by-npm": "1.0.0"`
	for client, args := range map[string][]string{"npm": {"install", "--no-audit"}, "pnpm": {"install", "--no-frozen-lockfile"}, "yarn": {"install", "--non-interactive"}, "berry": {"install", "--no-immutable"}} {
		dir := n.Folder(`{"name":"app-`+client+`","version":"1.0.0","license":"MIT","dependencies":{`+dependencies+`}}`, "yarn.lock", "")
		if client != "berry" {
			require.NoError(t, os.Remove(filepath.Join(dir, "yarn.lock")))
		}
		n.Run(client, dir, args...)
		for by := range publish {
			text, err := os.ReadFile(filepath.Join(dir, "node_modules", "@acme", "by-"+by, "index.js"))
			require.NoError(t, err, "%s installs what %s published", client, by)
			require.Contains(t, string(text), "'"+by+"'")
		}
	}

	dir := n.Folder(`{"name":"@acme/by-npm","version":"1.1.0-rc.1","license":"MIT"}`)
	require.Contains(t, n.Run("npm", dir, "ping"), "PONG")
	require.Contains(t, n.Run("npm", dir, "whoami"), "API key")
	n.Run("npm", dir, "publish", "--tag", "next")
	require.Contains(t, n.Run("npm", dir, "view", "@acme/by-npm", "dist-tags"), "next: '1.1.0-rc.1'")
	n.Run("npm", dir, "dist-tag", "add", "@acme/by-npm@1.0.0", "stable")
	require.Contains(t, n.Run("npm", dir, "dist-tag", "ls", "@acme/by-npm"), "stable: 1.0.0")
	n.Run("npm", dir, "dist-tag", "rm", "@acme/by-npm", "stable")
	require.NotContains(t, n.Run("npm", dir, "dist-tag", "ls", "@acme/by-npm"), "stable")
	n.Run("npm", dir, "deprecate", "@acme/by-npm@1.0.0", "use the next one")
	require.Contains(t, n.Run("npm", dir, "view", "@acme/by-npm@1.0.0", "deprecated"), "use the next one")
	require.Contains(t, n.Run("npm", dir, "search", "by-npm"), "by-npm")
	n.Run("npm", dir, "unpublish", "@acme/by-npm@1.1.0-rc.1")
	require.NotContains(t, n.Run("npm", dir, "view", "@acme/by-npm", "versions"), "rc.1")
	n.Run("npm", dir, "unpublish", "--force", "@acme/by-npm")
	out, err := n.Try("npm", dir, "view", "@acme/by-npm")
	require.Error(t, err)
	require.Contains(t, out, "404")
	app := n.Folder(`{"name":"app","version":"1.0.0","dependencies":{"@acme/by-pnpm":"1.0.0"}}`)
	require.Contains(t, n.Run("npm", app, "install"), "found 0 vulnerabilities")
	require.Contains(t, n.Run("npm", app, "audit"), "found 0 vulnerabilities")
}
