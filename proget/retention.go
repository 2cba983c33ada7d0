package proget

import (
	"fmt"
	"strings"
	"time"
)

// A RetentionRule selects versions of a feed for automatic deletion: those that meet
// all of its conditions. A condition's zero value disables it. In JSON, the fields have
// the names of ProGet's native API.
type RetentionRule struct {
	ID int64 `json:"-"` // invalid once any rule of the feed changes

	Prereleases bool `json:"deletePrereleaseVersions,omitempty"` // only prerelease versions
	KeepNewest  int  `json:"keepVersionsCount,omitempty"`        // never the newest so many versions of each package
	UnusedDays  int  `json:"keepUsedWithinDays,omitempty"`       // only versions not published, downloaded or restored for so many days
	AgeDays     int  `json:"keepPublishedWithinDays,omitempty"`  // only versions published at least so many days ago; not in ProGet

	MaxDownloads *int64 `json:"triggerDownloadCount,omitempty"` // only versions downloaded at most so often

	// Wildcard patterns of names and versions: * matches any text, and case is ignored.
	// KeepNames and KeepVersions take precedence over every other condition.
	Names        []string `json:"deletePackageIds,omitempty"`
	KeepNames    []string `json:"keepPackageIds,omitempty"`
	Versions     []string `json:"deleteVersions,omitempty"`
	KeepVersions []string `json:"keepVersions,omitempty"`

	// QuotaKB makes the rule delete only while the feed, or with PerPackage the
	// package, takes more than so many kilobytes of 1024 bytes. It deletes prereleases
	// first, then older versions, then the others.
	QuotaKB    int64 `json:"sizeTriggerKb,omitempty"`
	PerPackage bool  `json:"sizeExclusive,omitempty"`
}

const day = 24 * time.Hour

// Unused returns the time for which a version must have been unused to be deleted.
func (r *RetentionRule) Unused() time.Duration { return time.Duration(r.UnusedDays) * day }

// Age returns how long ago a version must have been published to be deleted.
func (r *RetentionRule) Age() time.Duration { return time.Duration(r.AgeDays) * day }

// Selects reports whether the rule has a condition that says what to delete, besides
// those that say what to keep. Without one, it would delete everything.
func (r *RetentionRule) Selects() bool {
	return r.Prereleases || r.KeepNewest > 0 || r.UnusedDays > 0 || r.AgeDays > 0 || r.MaxDownloads != nil ||
		len(r.Names) > 0 || len(r.Versions) > 0 || r.QuotaKB > 0
}

// String describes the rule for people.
func (r *RetentionRule) String() string {
	var parts []string
	say := func(when bool, format string, args ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	say(r.Prereleases, "prereleases")
	say(r.KeepNewest > 0, "all but the newest %d", r.KeepNewest)
	say(r.UnusedDays > 0, "unused for %s", plural(int64(r.UnusedDays), "day"))
	say(r.AgeDays > 0, "published more than %s ago", plural(int64(r.AgeDays), "day"))
	if r.MaxDownloads != nil {
		say(true, "downloaded at most %s", plural(*r.MaxDownloads, "time"))
	}
	say(len(r.Names) > 0, "named %s", strings.Join(r.Names, " or "))
	say(len(r.KeepNames) > 0, "not named %s", strings.Join(r.KeepNames, " or "))
	say(len(r.Versions) > 0, "version %s", strings.Join(r.Versions, " or "))
	say(len(r.KeepVersions) > 0, "not version %s", strings.Join(r.KeepVersions, " or "))
	quota := fmt.Sprintf("%d KiB", r.QuotaKB)
	if r.QuotaKB%1024 == 0 {
		quota = fmt.Sprintf("%d MiB", r.QuotaKB/1024)
	}
	say(r.QuotaKB > 0 && r.PerPackage, "while the package takes more than %s", quota)
	say(r.QuotaKB > 0 && !r.PerPackage, "while the feed takes more than %s", quota)
	return strings.Join(parts, ", ")
}

// plural formats n and the noun, in the plural unless n is 1.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
