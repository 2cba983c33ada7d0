package testenv

import (
	"fmt"
	"os"
	"testing"
)

// Target records the result of a benchmark and its target, an upper or lower bound, as
// a line of the file that PROGET_BENCH_TABLE names. scripts/bench prints the lines as a
// table.
func Target(b *testing.B, what string, reached float64, unit string, atMost bool, target float64) {
	b.Helper()
	met, sign := reached >= target, "at least"
	if atMost {
		met, sign = reached <= target, "at most"
	}
	line := fmt.Sprintf("%s\t%s %.4g %s\t%.3g\t%s\n", what, sign, target, unit, reached, map[bool]string{true: "yes", false: "NO"}[met])
	b.Log(line)
	name := os.Getenv("PROGET_BENCH_TABLE")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(line)
	}
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
