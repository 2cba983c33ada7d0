package quantity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/quantity"
)

func TestQuantities(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 1: "1 byte", 1023: "1,023 bytes", 1024: "1 KiB", 1536: "1.5 KiB",
		1_048_000: "1 MiB", 5 << 20: "5 MiB", 150 << 20: "150 MiB", 1 << 40: "1 TiB", 5000 << 40: "5000 TiB"} {
		require.Equal(t, want, quantity.Bytes(n), n)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		require.Equal(t, want, quantity.Count(n))
	}
}
