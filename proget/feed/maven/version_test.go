package maven

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVersionOrder has the versions that Maven's own tests have, in order.
func TestVersionOrder(t *testing.T) {
	t.Parallel()
	for _, versions := range [][]string{
		{"1-alpha2snapshot", "1-alpha2", "1-alpha-123", "1-beta-2", "1-beta123", "1-m2", "1-m11", "1-rc", "1-cr2", "1-rc123", "1-SNAPSHOT", "1",
			"1-sp", "1-sp2", "1-sp123", "1-abc", "1-def", "1-pom-1", "1-1-snapshot", "1-1", "1-2", "1-123"},
		{"2.0", "2.0.a", "2-1", "2.0.2", "2.0.123", "2.1.0", "2.1-a", "2.1b", "2.1-c", "2.1-1", "2.1.0.1", "2.2", "2.123", "11.a2", "11.a11", "11.b2",
			"11.b11", "11.m2", "11.m11", "11", "11.a", "11b", "11c", "11m"},
		{"1", "1.1", "1.2.0", "1.5", "2", "2.5"},
		{"1.0-alpha-1-SNAPSHOT", "1.0-alpha-1", "1.0-alpha-2", "1.0-beta-1", "1.0-SNAPSHOT", "1.0", "1.0-1", "1.0-2", "1.0.1", "1.1"},
		{"2.0-1", "2.0.1", "2.0.1-klm", "2.0.1-lmn", "2.0.1-xyz", "2.0.1-123"},
		{"0.2", "0.7", "1.0.7", "2"},
		{"6.1.0rc3", "6.1.0", "6.1H.5-beta"},
		{"20190126.230843", "1234567890.12345", "123456789012345.1H.5-beta", "12345678901234567890.1H.5-beta"},
		{"1-0.alpha", "1-0.beta", "1"},
		{"aardvark", "zebra", "ζέβρα", "1"},
		{"\U0001D7E4", "1"}, {"\u0668", "1"}, {"c", "7"}, {"J", "7"}, {"é", "1"},
		{"1.0.0.abc1", "1.0.0-abc2"}, {"1.0.0.alpha1", "1.0.0-alpha2"}, {"1.0.0.a1", "1.0.0-a2"}, {"1.0.0.RC1", "1.0.0-RC2"}, {"1.0.0.m1", "1.0.0-m2"},
		{"1.0.final-redhat", "1.0-sp1-redhat"}, {"1.0.final-redhat", "1.0-sp-1-redhat"}, {"1.0.final-redhat", "1.0-sp.1-redhat"},
	} {
		for i, low := range versions {
			for _, high := range versions[i+1:] {
				require.Negative(t, compareVersions(low, high), "%s < %s", low, high)
				require.Positive(t, compareVersions(high, low), "%s > %s", high, low)
			}
		}
	}
}

// TestVersionsOfEqualWorth has those that Maven takes for equal.
func TestVersionsOfEqualWorth(t *testing.T) {
	t.Parallel()
	for _, versions := range [][]string{
		{"1", "1.0", "1.0.0", "1-0", "1.0-0", "1ga", "1release", "1final", "1Ga", "1GA", "1RELEASE", "1FinaL"},
		{"1a", "1-a", "1.0-a", "1.0.0-a", "1.0a", "1.0.0a", "1A"},
		{"1x", "1-x", "1.0-x", "1.0.0-x", "1.0x", "1.0.0x", "1X"},
		{"1cr", "1rc", "1Cr", "1cR"},
		{"1a1", "1-alpha-1"}, {"1b2", "1-beta-2"}, {"1m3", "1-milestone-3", "1Milestone3", "1MILESTONE3"},
		{"2-abc", "2.0.abc", "2.0.0.abc"}, {"2-RC", "2.0.RC", "2.0.0.RC"}, {"2-m", "2.0.m", "2.0.0.m"},
		{"1.0.0-alpha1", "1.0.0-ALPHA1"}, {"1.é", "1.É"},
		{"01", "1", "0000000000000000001", "000000000000000001"},
		{"0", "00", "0000000000000000000"},
	} {
		for _, a := range versions {
			for _, b := range versions {
				require.Zero(t, compareItem(parseVersion(a), parseVersion(b)), "%s = %s", a, b)
				require.Equal(t, a == b, compareVersions(a, b) == 0)
			}
		}
	}
}

func TestPrerelease(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.0-SNAPSHOT", "SNAPSHOT", "2.0-alpha-1", "2.0b3", "1.0.CR1", "3.0-M2", "5.0.0-rc.1", "1-beta"} {
		require.True(t, isPrerelease(version), version)
	}
	for _, version := range []string{"1.0", "1.0.Final", "1.0.GA", "31.1-jre", "Finchley.SR2", "2.0-sp1", "r09", "1-a"} {
		require.False(t, isPrerelease(version), version)
	}
}

// FuzzCompareVersions: the order of any two texts is the reverse of theirs the
// other way round, and only the same text is equal.
func FuzzCompareVersions(f *testing.F) {
	f.Add("1.0-alpha-1", "1.0.final-redhat")
	f.Add("1..--2a", "-.a-1b")
	f.Fuzz(func(t *testing.T, a, b string) {
		c, reverse := compareVersions(a, b), compareVersions(b, a)
		if (c < 0) != (reverse > 0) || (c == 0) != (a == b) {
			t.Fatalf("%q %q: %d and %d", a, b, c, reverse)
		}
		isPrerelease(a)
	})
}
