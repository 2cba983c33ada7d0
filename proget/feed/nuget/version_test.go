package nuget

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		key, full string
		semVer2   bool
	}{
		"1":                       {"1.0.0", "1.0.0", false},
		"1.0":                     {"1.0.0", "1.0.0", false},
		"1.00":                    {"1.0.0", "1.0.0", false},
		"1.01.1":                  {"1.1.1", "1.1.1", false},
		"1.00.0.1":                {"1.0.0.1", "1.0.0.1", false},
		"1.0.0.0":                 {"1.0.0", "1.0.0", false},
		"1.0.01.0":                {"1.0.1", "1.0.1", false},
		"1.0.7+r3456":             {"1.0.7", "1.0.7+r3456", true},
		"1.0.0+a-b.00":            {"1.0.0", "1.0.0+a-b.00", true},
		"1.0-Beta":                {"1.0.0-beta", "1.0.0-Beta", false},
		"1.0.0-alpha.1":           {"1.0.0-alpha.1", "1.0.0-alpha.1", true},
		"1.0.0-RC.1+Sha":          {"1.0.0-rc.1", "1.0.0-RC.1+Sha", true},
		"1.0.0--":                 {"1.0.0--", "1.0.0--", false},
		"1.0.0-0A":                {"1.0.0-0a", "1.0.0-0A", false},
		" 1.2 ":                   {"1.2.0", "1.2.0", false},
		"2147483647.0":            {"2147483647.0.0", "2147483647.0.0", false},
		"1.2.3.4-beta":            {"1.2.3.4-beta", "1.2.3.4-beta", false},
		"0.0.0-a":                 {"0.0.0-a", "0.0.0-a", false},
		"2024.01.02-nightly-2024": {"2024.1.2-nightly-2024", "2024.1.2-nightly-2024", false},
	} {
		v, ok := parseVersion(text)
		require.True(t, ok, text)
		require.Equal(t, want.key, v.key(), text)
		require.Equal(t, want.full, v.full(), text)
		require.Equal(t, want.semVer2, v.semVer2(), text)
		require.Equal(t, strings.Contains(want.key, "-"), v.prerelease(), text)
	}
}

func TestParseVersionRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "v1.0", "a", ".1", "1.", "1..0", "1.2.3.4.5", "-1", "1.-2", "+1", "1.0-", "1.0-a.", "1.0-.a",
		"1.0-a..b", "1.0-01", "1.0-a.00", "1.0-ä", "1.0-a_b", "1.0+", "1.0+a+b", "1.0+a..b", "1.0-+a", "1 .0",
		"2147483648", "99999999999999999999", "1.0*", "1.*", "1,0", "[1.0]", "1.0\x00", "1.０",
	} {
		_, ok := parseVersion(text)
		require.False(t, ok, "%q", text)
		require.Equal(t, strings.ToLower(text), versionKey(text))
	}
}

// ascending is in the order that NuGet sorts by.
func ascending() []string {
	return []string{
		"not a version", "0.0.0-a", "0.9", "1.0.0--1", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-10.1", "1.0.0-3000000000",
		"1.0.0-aaa", "1.0.0-alpha", "1.0.0-ALPHA.1", "1.0.0-alpha.beta", "1.0.0-alpha10", "1.0.0-alpha2", "1.0.0-beta",
		"1.0.0-Open", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0-zzz", "1.0.0", "1.0.0.1-a", "1.0.0.1", "1.0.1", "1.2", "1.10", "2",
	}
}

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	want := ascending()
	for i, a := range want {
		for j, b := range want {
			got := compareVersions(versionKey(a), versionKey(b))
			require.Equal(t, i < j, got < 0, "%s before %s", a, b)
			require.Equal(t, i == j, got == 0, "%s is %s", a, b)
		}
	}
	shuffled := slices.Clone(want)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.SortFunc(shuffled, func(a, b string) int { return compareVersions(versionKey(a), versionKey(b)) })
	require.Equal(t, want, shuffled)
}

func TestCompareVersionsEqual(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"1", "1.0.0.0"}, {"1.0-A", "1.0.0-a"}, {"1.0+a", "1.0.0+b"}} {
		require.Zero(t, compareVersions(versionKey(pair[0]), versionKey(pair[1])), pair)
	}
	a, _ := parseVersion("1.0.0--0")
	b, _ := parseVersion("1.0.0-0")
	require.Zero(t, a.compare(b), "NuGet holds them for equal")
	require.NotZero(t, compareVersions("1.0.0--0", "1.0.0-0"), "but they have two keys")
}

func TestParseRange(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1.0":                "[1.0.0, )",
		"[1.0,)":             "[1.0.0, )",
		"(1.0,)":             "(1.0.0, )",
		"[1.0]":              "[1.0.0, 1.0.0]",
		"(,1.0]":             "(, 1.0.0]",
		"(,1.0)":             "(, 1.0.0)",
		"[1.0,2.0]":          "[1.0.0, 2.0.0]",
		"(1.0,2.0)":          "(1.0.0, 2.0.0)",
		" [ 1.0 , 2.0-rc ) ": "[1.0.0, 2.0.0-rc)",
		"[1.0-Alpha.1+x, )":  "[1.0.0-Alpha.1, )",
		"[,2.0]":             "(, 2.0.0]",
	} {
		r, ok := parseRange(text)
		require.True(t, ok, text)
		require.Equal(t, want, r.String(), text)
		again, ok := parseRange(r.String())
		require.True(t, ok, text)
		require.Equal(t, want, again.String(), text)
	}
	for _, text := range []string{"", " ", "(1.0)", "[1.0)", "(1.0]", "[]", "(,)", "[", "(", "1.*", "*", "[2.0,1.0]", "(1.0,1.0]", "[1,2,3]", "[1.0", "x"} {
		_, ok := parseRange(text)
		require.False(t, ok, "%q", text)
	}
}

func TestRangeSemVer2(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1.0": false, "1.0-a": false, "1.0-a.1": true, "1.0+x": true, "(,1.0-a.1]": true, "[1.0,2.0]": false,
	} {
		r, ok := parseRange(text)
		require.True(t, ok, text)
		require.Equal(t, want, r.semVer2(), text)
	}
}

func FuzzVersion(f *testing.F) {
	for _, text := range ascending() {
		f.Add(text, "1.0.0-a")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := versionKey(a), versionKey(b)
		require.Equal(t, compareVersions(x, y), -compareVersions(y, x))
		require.Equal(t, x == y, compareVersions(x, y) == 0)
		if v, ok := parseVersion(a); ok {
			require.Equal(t, x, versionKey(x), "a key is its own key")
			again, ok := parseVersion(v.full())
			require.True(t, ok)
			require.Zero(t, v.compare(again))
		}
		if r, ok := parseRange(a); ok {
			again, ok := parseRange(r.String())
			require.True(t, ok)
			require.Equal(t, r.String(), again.String())
		}
	})
}

func BenchmarkCompareVersions(b *testing.B) {
	for b.Loop() {
		compareVersions("1.2.3-beta.12", "1.2.3-beta.13")
	}
}

func ExampleNew() {
	nuget := New(nil)
	versions := []string{"1.10", "1.2-rc.10", "1.2", "1.2-RC.2", "1.2.0.0"}
	for i, v := range versions {
		versions[i] = nuget.VersionKey(v)
	}
	slices.SortFunc(versions, nuget.CompareVersions)
	fmt.Println(slices.Compact(versions))
	// Output: [1.2.0-rc.2 1.2.0-rc.10 1.2.0 1.10.0]
}
