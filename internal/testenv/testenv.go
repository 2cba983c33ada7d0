// Package testenv finds or starts the real servers that tests run against.
//
// A test whose server is missing is skipped with the reason, so that `go test
// ./...` passes on a bare machine. With PROGET_TEST_REQUIRE set, as in `make
// test`, it fails instead.
package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Missing skips the test, or fails it if nothing may be missing.
func Missing(t testing.TB, what, install string) {
	t.Helper()
	message := fmt.Sprintf("%s is needed for this test: %s", what, install)
	if os.Getenv("PROGET_TEST_REQUIRE") != "" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// cache is the folder where scripts/install-test-deps puts what no package
// manager of the system has.
func cache() string {
	if dir := os.Getenv("PROGET_TEST_CACHE"); dir != "" {
		return dir
	}
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", ".cache")
}

// Program returns the path of the first of the named programs that is there,
// looking in PATH and in the given folders' patterns.
func Program(t testing.TB, install string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if found, _ := filepath.Glob(name); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	Missing(t, filepath.Base(names[0]), install)
	return ""
}

// Servers of tests get ports below those that systems give to connections, and
// to listeners that ask for any: one of those could be taken by a stranger
// between the moment it is found and the moment its server listens.
const (
	firstPort = 10_000
	ports     = 20_000
)

// FreePort returns a TCP port on the loopback address that was free a moment
// ago.
func FreePort(t testing.TB) int {
	t.Helper()
	var err error
	for range 100 {
		port := firstPort + rand.N(ports)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal(err)
	return 0
}
