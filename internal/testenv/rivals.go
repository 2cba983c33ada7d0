package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartVerdaccio starts the npm registry Verdaccio in an empty folder, with publishing
// open to everybody.
func StartVerdaccio(t testing.TB) *Process {
	t.Helper()
	const install = "run scripts/install-bench-deps"
	node := Program(t, "install Node.js (Debian: apt-get install nodejs)", "node")
	program := Program(t, install, filepath.Join(cache(), "verdaccio", "node_modules", "verdaccio", "bin", "verdaccio"))
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	config := filepath.Join(dir, "config.yaml")
	write(t, config, `storage: `+filepath.Join(dir, "storage")+`
auth: {htpasswd: {file: `+filepath.Join(dir, "htpasswd")+`}}
uplinks: {}
packages: {'@*/*': {access: $all, publish: $all}, '**': {access: $all, publish: $all}}
publish: {allow_offline: true}
max_body_size: 100mb
web: {enable: false}
log: {type: stdout, format: json, level: fatal}
`)
	return Start(t, "http://"+address, exec.Command(node, program, "--config", config, "--listen", address))
}

// StartDistribution starts the container registry Distribution in an empty folder.
func StartDistribution(t testing.TB) *Process {
	t.Helper()
	program := Program(t, "run scripts/install-bench-deps", "docker-registry")
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	config := filepath.Join(dir, "registry.yml")
	write(t, config, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: `+filepath.Join(dir, "data")+`}, delete: {enabled: true}}
http: {addr: '`+address+`'}
`)
	return Start(t, "http://"+address, exec.Command(program, "serve", config))
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
