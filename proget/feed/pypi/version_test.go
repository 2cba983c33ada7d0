package pypi

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNormalForms has the examples of PEP 440's section "Normalization", and more.
func TestNormalForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1.1RC1": "1.1rc1", "00": "0", "09000": "9000", "1.0+foo0100": "1.0+foo0100", "1.1.a1": "1.1a1", "1.1-a1": "1.1a1", "1.0a.1": "1.0a1",
		"1.1alpha1": "1.1a1", "1.1beta2": "1.1b2", "1.1c3": "1.1rc3", "1.1pre4": "1.1rc4", "1.1-preview_5": "1.1rc5", "1.2a": "1.2a0",
		"1.2-post2": "1.2.post2", "1.2post2": "1.2.post2", "1.2.post-2": "1.2.post2", "1.0-r4": "1.0.post4", "1.0rev": "1.0.post0", "1.2.post": "1.2.post0", "1.0-1": "1.0.post1",
		"1.2-dev2": "1.2.dev2", "1.2dev2": "1.2.dev2", "1.2.dev": "1.2.dev0", "1.0+ubuntu-1": "1.0+ubuntu.1", "1.0+ubuntu_01": "1.0+ubuntu.1", "v1.0": "1.0", " V1.0\n": "1.0",
		"1!2.0": "1!2.0", "0!2.0": "2.0", "1.0a.dev1": "1.0a0.dev1", "1.0a-": "1.0a0", "1.0a--1": "1.0a0.post1", "1.0a-1": "1.0a1", "1a1.post2.dev3+A.b-4": "1a1.post2.dev3+a.b.4",
		"99999999999999999999999999": "99999999999999999999999999", "1.0-1.dev2": "1.0.post1.dev2",
	} {
		v, ok := parseVersion(text)
		require.True(t, ok, text)
		require.Equal(t, want, v.String(), text)
	}
	for _, bad := range []string{"", "v", "vv1", "1.0-", "1.", ".1", "1..2", "a", "1.0x", "1.0+", "1.0+a..b", "1.0+-a", "1.0+a-", "1.0+é", "1!", "!1", "1!2!3", "1.0 a", "1.0_1", "1.0.post1a1", "1.0dev1post1", "1,0", "poſt1", "1.0poſt1"} {
		_, ok := parseVersion(bad)
		require.False(t, ok, bad)
	}
}

// TestVersionOrder has the examples of "Summary of permitted suffixes and
// relative ordering", and versions with epochs and local labels.
func TestVersionOrder(t *testing.T) {
	t.Parallel()
	sorted := strings.Fields(`1.dev0 1.0.dev456 1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2 1.0b2.post345.dev456 1.0b2.post345 1.0rc1.dev456 1.0rc1
		1.0 1.0+abc.5 1.0+abc.7 1.0+5 1.0+5.a 1.0+5.1 1.0.post456.dev34 1.0.post456 1.0.15 1.1.dev1 1.2 1.10 2013.10 1!1.0`)
	shuffled := slices.Clone(sorted)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.SortFunc(shuffled, func(a, b string) int { return compareVersions(versionKey(a), versionKey(b)) })
	require.Equal(t, sorted, shuffled)
	require.Equal(t, versionKey("1"), versionKey("v1.0.0"), "zeros at the end")
	require.Equal(t, "1rc1", versionKey("1.0.0.RC1"))
	require.Equal(t, "no version", versionKey(" No Version "))
	require.Negative(t, compareVersions("no version", "0"))
}

func TestPrerelease(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"1": false, "1.post1": false, "1+a": false, "1a1": true, "1.dev1": true, "1.post1.dev1": true} {
		v, _ := parseVersion(text)
		require.Equal(t, want, v.prerelease(), text)
	}
}

// FuzzVersion: a normal form is its own, and the order is one.
func FuzzVersion(f *testing.F) {
	f.Add("1.0", "v1!2.3-rc.4.post5_dev6+A-7", "1.0a-")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, text := range []string{a, b, c} {
			v, ok := parseVersion(text)
			if !ok {
				continue
			}
			for _, normal := range []string{v.String(), v.key()} {
				again, ok := parseVersion(normal)
				if !ok || normal == v.String() && again.String() != normal || again.key() != v.key() || again.compare(v) != 0 {
					t.Fatalf("%q is %q, which is %q", text, normal, again)
				}
			}
		}
		a, b, c = versionKey(a), versionKey(b), versionKey(c)
		if compareVersions(a, b) != -compareVersions(b, a) || (compareVersions(a, b) == 0) != (a == b) {
			t.Fatalf("%q and %q", a, b)
		}
		if compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0 && compareVersions(a, c) > 0 {
			t.Fatalf("%q, %q and %q", a, b, c)
		}
	})
}
