package share

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/drivertest"
)

// TestDriver runs gocloud's own conformance tests. Left out are those that ask
// for what this driver does not have: metadata, content types and IfNotExist,
// and keys that are not names on every system ("t." among them, which the test
// of folders uses; TestListOrder covers the order).
func TestDriver(t *testing.T) {
	t.Parallel()
	drivertest.RunConformanceTests(t, newHarness, nil)
}

func newHarness(_ context.Context, t *testing.T) (drivertest.Harness, error) {
	for _, name := range []string{
		"ContentType", "TestAttributes", "TestMetadata/", "TestIfNotExist",
		"TestListWeirdKeys", "TestKeys/", "TestDirsWithCharactersBeforeDelimiter", "TestListDelimiters/backslash",
	} {
		if strings.Contains(t.Name(), name) && !strings.HasSuffix(t.Name(), "/non-UTF8_fails") {
			t.Skip("this driver keeps bytes only, under portable names")
		}
	}
	return &harness{dir: filepath.Join(t.TempDir(), "store")}, nil
}

type harness struct{ dir string }

func (h *harness) MakeDriver(context.Context) (driver.Bucket, error) { return open(h.dir) }

func (h *harness) MakeDriverForNonexistentBucket(context.Context) (driver.Bucket, error) {
	return &bucket{dir: h.dir + "-missing", wait: wait}, nil
}

func (h *harness) HTTPClient() *http.Client         { return nil }
func (h *harness) SupportsCopy() bool               { return false }
func (h *harness) SupportsNonSlashDelimiters() bool { return true }
func (h *harness) Close()                           {}
