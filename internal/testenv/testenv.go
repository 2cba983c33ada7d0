// Package testenv finds or starts the real servers for tests.
//
// A test whose server is missing is skipped with the reason, so that `go test ./...`
// passes on a bare machine. If PROGET_TEST_REQUIRE is set, as in `make test`, the test
// fails instead.
package testenv

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/proget-go/ha/internal/ports"
)

// Missing skips the test, or fails it if PROGET_TEST_REQUIRE is set.
func Missing(t testing.TB, what, install string) {
	t.Helper()
	message := fmt.Sprintf("%s is needed for this test: %s", what, install)
	if os.Getenv("PROGET_TEST_REQUIRE") != "" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// cache returns the folder in which scripts/install-test-deps puts what no package
// manager of the system has.
func cache() string {
	if dir := os.Getenv("PROGET_TEST_CACHE"); dir != "" {
		return dir
	}
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", ".cache")
}

// Program returns the path of the first of the named programs that exists. A name is
// looked up in PATH, or is a pattern of paths. If none exists, Program calls Missing.
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

// FreePort returns a TCP port on the loopback address, reserved until the test ends.
func FreePort(t testing.TB) int {
	t.Helper()
	address, reservation, err := ports.Reserve("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reservation.Close() })
	return int(netip.MustParseAddrPort(address).Port())
}
