package testenv

import (
	"testing"

	"github.com/proget-go/ha/internal/netfault"
)

// StartProxy starts a proxy to the address target, which stops with the test.
func StartProxy(t testing.TB, target string) *netfault.Proxy {
	t.Helper()
	p, err := netfault.Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}
