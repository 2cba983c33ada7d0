package retention_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/retention"
	"github.com/proget-go/ha/proget"
)

var now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func daysAgo(n int) time.Time { return now.AddDate(0, 0, -n) }

// versions returns versions of a package, oldest first, each of 10 KB and a year
// old; what has a hyphen is a prerelease.
func versions(name string, all ...string) (use []retention.Candidate) {
	for i, v := range all {
		use = append(use, retention.Candidate{Names: []string{v}, VersionUse: db.VersionUse{ID: int64(i + 1), PackageKey: strings.ToLower(name), Key: v, Name: name, Version: v,
			Prerelease: strings.Contains(v, "-"), Published: daysAgo(365), Bytes: 10 << 10}})
	}
	return use
}

// chosen is what goes, as "version" or "version by rule".
func chosen(choices []retention.Choice) (all []string) {
	for _, c := range choices {
		text := c.Version
		if c.Rule > 1 {
			text += fmt.Sprint(" by ", c.Rule)
		}
		all = append(all, text)
	}
	return all
}

func TestChoose(t *testing.T) {
	t.Parallel()
	none, thrice := int64(0), int64(3)
	// 1.0 was used yesterday, 2.0-rc is a week old, 3.0 was downloaded three times.
	pkg := versions("Acme.Lib", "1.0", "2.0-a", "2.0-rc", "2.0", "3.0")
	pkg[0].LastUsed = daysAgo(1)
	pkg[0].Downloads = 9
	pkg[2].Published = daysAgo(7)
	pkg[4].Downloads = 3
	type rules = []proget.RetentionRule
	for _, c := range []struct {
		name  string
		rules rules
		gone  []string
	}{
		{"no rules", nil, nil},
		{"prereleases", rules{{Prereleases: true}}, []string{"2.0-a", "2.0-rc"}},
		{"all but the newest two", rules{{KeepNewest: 2}}, []string{"1.0", "2.0-a", "2.0-rc"}},
		{"as many as there are", rules{{KeepNewest: 5}}, nil},
		{"more than there are", rules{{KeepNewest: 50}}, nil},
		{"the newest of all count, not of those that match", rules{{Prereleases: true, KeepNewest: 3}}, []string{"2.0-a"}},
		{"unused", rules{{UnusedDays: 30}}, []string{"2.0-a", "2.0", "3.0"}},
		{"unused, to the day", rules{{UnusedDays: 365}}, []string{"2.0-a", "2.0", "3.0"}},
		{"unused, a day less", rules{{UnusedDays: 366}}, nil},
		{"old, whether used or not", rules{{AgeDays: 30}}, []string{"1.0", "2.0-a", "2.0", "3.0"}},
		{"never downloaded", rules{{MaxDownloads: &none}}, []string{"2.0-a", "2.0-rc", "2.0"}},
		{"downloaded at most thrice", rules{{MaxDownloads: &thrice}}, []string{"2.0-a", "2.0-rc", "2.0", "3.0"}},
		{"by name", rules{{Names: []string{"other", "ACME.*"}}}, []string{"1.0", "2.0-a", "2.0-rc", "2.0", "3.0"}},
		{"of another name", rules{{Names: []string{"acme"}}}, nil},
		{"kept by name", rules{{Prereleases: true, KeepNames: []string{"*.lib"}}}, nil},
		{"by version", rules{{Versions: []string{"2.*"}}}, []string{"2.0-a", "2.0-rc", "2.0"}},
		{"kept by version", rules{{Versions: []string{"2.*"}, KeepVersions: []string{"*-RC"}}}, []string{"2.0-a", "2.0"}},
		{"all conditions", rules{{Prereleases: true, UnusedDays: 30, Names: []string{"*"}}}, []string{"2.0-a"}},
		{"one rule after the other", rules{{Prereleases: true}, {KeepNewest: 2}}, []string{"2.0-a", "2.0-rc", "1.0 by 2"}},
		{"in another order", rules{{KeepNewest: 2}, {Prereleases: true}}, []string{"1.0", "2.0-a", "2.0-rc"}},
		{"the package is small enough", rules{{QuotaKB: 50, PerPackage: true}}, nil},
		{"the package is too large", rules{{QuotaKB: 49, PerPackage: true}}, []string{"2.0-a"}},
		{"prereleases first, then older ones", rules{{QuotaKB: 20, PerPackage: true}}, []string{"2.0-a", "2.0-rc", "1.0"}},
		{"the newest last", rules{{QuotaKB: 1, PerPackage: true}}, []string{"2.0-a", "2.0-rc", "1.0", "2.0", "3.0"}},
		{"too large, but only these match", rules{{QuotaKB: 1, PerPackage: true, Versions: []string{"2.*"}}}, []string{"2.0-a", "2.0-rc", "2.0"}},
		{"a rule before has made room", rules{{Prereleases: true}, {QuotaKB: 30, PerPackage: true}}, []string{"2.0-a", "2.0-rc"}},
		{"a quota for the feed waits", rules{{QuotaKB: 1}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			chooser := retention.Chooser{Rules: c.rules, Now: now}
			gone := chooser.Package(pkg)
			require.Equal(t, c.gone, chosen(gone))
			require.Empty(t, (&retention.Chooser{Rules: c.rules, Now: now}).Package(without(pkg, gone)), "a second run finds nothing")
		})
	}
}

// TestChooseNeeded: what a version needs that stays, stays, and does not count among
// the newest; what has several names goes if all of them match; what is pinned stays.
func TestChooseNeeded(t *testing.T) {
	t.Parallel()
	none := int64(0)
	type rules = []proget.RetentionRule
	// Two images for two systems each, and a signature of the second.
	images := versions("app", "old.amd", "old.arm", "old", "shared", "new.arm", "new", "new.sig", "loose")
	images[2].Names, images[2].Needs = []string{"v1", "stable"}, []string{"old.amd", "old.arm", "shared"}
	images[5].Names, images[5].Needs = []string{"v2"}, []string{"shared", "new.arm", "new.sig"}
	pinned := versions("lib", "1", "2", "3")
	pinned[0].Pinned = true
	for name, c := range map[string]struct {
		of    []retention.Candidate
		rules rules
		gone  []string
	}{
		"all but the newest two": {images, rules{{KeepNewest: 2}}, []string{"old", "old.amd", "old.arm"}},
		"never downloaded":       {images, rules{{MaxDownloads: &none, Versions: []string{"v1", "old*"}}}, nil},
		"by all of its names":    {images, rules{{Versions: []string{"v1", "stable"}}}, []string{"old"}},
		"with what it needed":    {images, rules{{Versions: []string{"v1", "stable", "old.*", "shared"}}}, []string{"old", "old.amd", "old.arm"}},
		"kept by one name":       {images, rules{{MaxDownloads: &none, KeepVersions: []string{"sta*"}}}, []string{"new", "loose", "new.arm", "new.sig"}},
		"while it is too large":  {images, rules{{QuotaKB: 60, PerPackage: true}}, []string{"old", "old.amd"}},
		"pinned":                 {pinned, rules{{KeepNewest: 1}}, []string{"2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chooser := retention.Chooser{Rules: c.rules, Now: now}
			gone := chooser.Package(c.of)
			require.Equal(t, c.gone, chosen(gone))
			require.Empty(t, (&retention.Chooser{Rules: c.rules, Now: now}).Package(without(c.of, gone)), "a second run finds nothing")
		})
	}
	chooser := retention.Chooser{Rules: rules{{QuotaKB: 60}}, Now: now, Bytes: int64(len(images)) * 10 << 10}
	require.Equal(t, []string{"old", "old.amd"}, chosen(chooser.Over(retention.Older, images)))
}

func without(pkg []retention.Candidate, gone []retention.Choice) (rest []retention.Candidate) {
	ids := map[int64]bool{}
	for _, c := range gone {
		ids[c.ID] = true
	}
	for _, v := range pkg {
		if !ids[v.ID] {
			rest = append(rest, v)
		}
	}
	return rest
}

// TestChooseOver: a quota for the feed takes prereleases of all packages before
// older versions, and those before the newest, and no more than it must.
func TestChooseOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		quota int64
		keep  int
		gone  []string
	}{
		{70, 0, nil},
		{69, 0, []string{"a 2-x"}},
		{50, 0, []string{"a 2-x", "b 1-x"}},
		{21, 0, []string{"a 2-x", "b 1-x", "a 1", "b 2", "c 1"}},
		{1, 0, []string{"a 2-x", "b 1-x", "a 1", "b 2", "c 1", "a 3", "c 2"}},
		{1, 1, []string{"a 2-x", "b 1-x", "a 1", "c 1"}},
	} {
		t.Run(fmt.Sprint(c.quota, " ", c.keep), func(t *testing.T) {
			t.Parallel()
			feed := [][]retention.Candidate{versions("a", "1", "2-x", "3"), versions("b", "1-x", "2"), versions("c", "1", "2")}
			feed[1][1].Prerelease = true // a package without a stable version
			feed[1][1].Version = "2"
			chooser := retention.Chooser{Rules: []proget.RetentionRule{{QuotaKB: c.quota, KeepNewest: c.keep}}, Now: now}
			for _, pkg := range feed {
				require.Empty(t, chooser.Package(pkg))
				for _, v := range pkg {
					chooser.Bytes += v.Bytes
				}
			}
			var gone []string
			for rank := retention.Prerelease; rank <= retention.Newest && chooser.Excess(); rank++ {
				for _, pkg := range feed {
					for _, choice := range chooser.Over(rank, pkg) {
						gone = append(gone, choice.Name+" "+choice.Version)
						chooser.Bytes -= choice.Bytes
					}
				}
			}
			require.ElementsMatch(t, c.gone, gone)
		})
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for pattern, names := range map[string]map[string]bool{
		"acme":     {"Acme": true, "acme.lib": false, "": false},
		"acme.*":   {"Acme.Lib": true, "acme.": true, "acme": false, "x.acme.y": false},
		"*":        {"": true, "group/name": true},
		"*.test*":  {"a.tests": true, ".test": true, "a.tes": false},
		"a*b*c":    {"abc": true, "a1b2c": true, "abcd": false, "acb": false, "abcbc": true},
		"ab*ba":    {"aba": false, "abba": true},
		"**":       {"": true, "x": true},
		"a*aa*a":   {"aaaa": true, "aaa": false},
		"tools/*":  {"tools/x/y": true, "tool": false},
		"ünïted*":  {"Ünïted.Lib": true},
		"a.b+[c]?": {"a.b+[c]?": true, "aXb+c": false},
	} {
		for name, matches := range names {
			chooser := retention.Chooser{Rules: []proget.RetentionRule{{Names: []string{pattern}}}, Now: now}
			require.Equal(t, matches, len(chooser.Package(versions(name, "1"))) == 1, "%s on %s", pattern, name)
		}
	}
}
