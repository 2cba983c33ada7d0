package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// NPM runs the clients of an npm feed, each with the feed as its registry, a key for
// it, and its own home.
type NPM struct {
	t        testing.TB
	env      []string
	home     string
	Commands map[string][]string // npm, pnpm, yarn (classic) and berry
}

// FindNPM finds the clients that scripts/install-test-deps installs.
func FindNPM(t testing.TB, registry, key string) *NPM {
	t.Helper()
	const install = "run make deps"
	node := Program(t, "install Node.js (Debian: apt-get install nodejs npm)", "node")
	modules := filepath.Join(cache(), "npm", "node_modules")
	n := &NPM{t: t, home: t.TempDir(), Commands: map[string][]string{
		"npm":   {Program(t, "install npm (Debian: apt-get install npm)", "npm")},
		"pnpm":  {Program(t, install, filepath.Join(modules, ".bin", "pnpm"))},
		"yarn":  {node, Program(t, install, filepath.Join(modules, "yarn", "bin", "yarn.js"))},
		"berry": {node, Program(t, install, filepath.Join(modules, "@yarnpkg", "cli-dist", "bin", "yarn.js"))},
	}}
	_, host, _ := strings.Cut(registry, "://")
	for name, text := range map[string]string{
		".npmrc":  "registry=" + registry + "/\n//" + host + "/:_authToken=" + key + "\nfund=false\nupdate-notifier=false\n",
		".yarnrc": "registry \"" + registry + "/\"\n",
		".yarnrc.yml": "npmRegistryServer: \"" + registry + "/\"\nunsafeHttpWhitelist: [\"127.0.0.1\"]\nnpmAuthToken: \"" + key + "\"\nnpmAlwaysAuth: true\n" +
			"nodeLinker: node-modules\nenableTelemetry: false\nenableGlobalCache: false\nnpmMinimalAgeGate: 0\n",
	} {
		if err := os.WriteFile(filepath.Join(n.home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range os.Environ() {
		if !strings.HasPrefix(strings.ToLower(line), "npm_") {
			n.env = append(n.env, line)
		}
	}
	n.env = append(n.env, "HOME="+n.home, "npm_config_userconfig="+filepath.Join(n.home, ".npmrc"), "npm_config_cache="+filepath.Join(n.home, "cache"),
		"YARN_CACHE_FOLDER="+filepath.Join(n.home, "yarn"), "XDG_DATA_HOME="+filepath.Join(n.home, "data"), "XDG_CACHE_HOME="+filepath.Join(n.home, "xdg"), "CI=1", "NO_COLOR=1")
	return n
}

// Folder creates a project folder with a package.json and pairs of names and contents.
func (n *NPM) Folder(packageJSON string, files ...string) string {
	n.t.Helper()
	dir, err := os.MkdirTemp(n.home, "project-")
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i < len(files)+2; i += 2 {
		name, text := "package.json", packageJSON
		if i > 0 {
			name, text = files[i-2], files[i-1]
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	return dir
}

// Run runs a client's command in a folder and returns its output. It fails the
// test if the command fails.
func (n *NPM) Run(client, dir string, args ...string) string {
	n.t.Helper()
	out, err := n.Try(client, dir, args...)
	if err != nil {
		n.t.Fatalf("%s %s: %v\n%s", client, strings.Join(args, " "), err, out)
	}
	return out
}

// Try is like Run for commands that may fail.
func (n *NPM) Try(client, dir string, args ...string) (string, error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	command := append(n.Commands[client], args...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, n.env, grace
	out, err := cmd.CombinedOutput()
	return string(out), err
}
