package retention

import (
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A Choice is a version that is to go.
type Choice struct {
	db.VersionUse
	Rule int // the first that chose it, counted from 1
}

// A Rank is the place of a version in the order in which versions give way to a
// quota for the whole feed.
type Rank int

// The ranks, the first to go first.
const (
	Prerelease Rank = iota
	Older
	Newest // the newest stable version of its package
	ranks
)

// A Chooser decides which versions of a feed go. It is shown one package after
// the other, each with all its versions, oldest first.
type Chooser struct {
	Rules []proget.RetentionRule
	Now   time.Time
	Bytes int64 // what the packages seen by Package take, without what was chosen
}

// Package returns which versions of a package go by the rules that need not
// know the others. A rule sees what those before it left.
func (c *Chooser) Package(versions []db.VersionUse) []Choice {
	gone, rest := c.alone(versions)
	c.Bytes += size(rest)
	return gone
}

// Excess reports whether the packages that Package has seen take more than a
// rule's quota for the whole feed.
func (c *Chooser) Excess() bool {
	return slices.ContainsFunc(c.Rules, func(r proget.RetentionRule) bool { return feedWide(&r) && c.Bytes > quota(&r) })
}

// Over returns which versions of a rank go by the rules that have a quota for the
// whole feed, as long as there is an excess. It is called for all packages with
// one rank after the other, after Package was for all.
func (c *Chooser) Over(rank Rank, versions []db.VersionUse) (gone []Choice) {
	_, rest := c.alone(versions)
	newest := newestStable(rest)
	for i := range c.Rules {
		r := &c.Rules[i]
		if !feedWide(r) {
			continue
		}
		var chosen []db.VersionUse
		for _, v := range matching(r, rest, c.Now) {
			if rankOf(v, newest) == rank && c.Bytes > quota(r) {
				c.Bytes -= v.Bytes
				chosen = append(chosen, v)
			}
		}
		gone, rest = append(gone, choices(chosen, i+1)...), without(rest, chosen)
	}
	return gone
}

func (c *Chooser) alone(versions []db.VersionUse) (gone []Choice, rest []db.VersionUse) {
	rest = versions
	for i := range c.Rules {
		r := &c.Rules[i]
		if feedWide(r) {
			continue
		}
		chosen := matching(r, rest, c.Now)
		if r.QuotaKB > 0 {
			chosen = excess(chosen, size(rest)-quota(r), newestStable(rest))
		}
		gone, rest = append(gone, choices(chosen, i+1)...), without(rest, chosen)
	}
	return gone, rest
}

func feedWide(r *proget.RetentionRule) bool { return r.QuotaKB > 0 && !r.PerPackage }

func quota(r *proget.RetentionRule) int64 { return r.QuotaKB << 10 }

// matching returns the versions of a package that meet a rule's conditions but
// those of size.
func matching(r *proget.RetentionRule, versions []db.VersionUse, now time.Time) (found []db.VersionUse) {
	for _, v := range versions[:max(len(versions)-r.KeepNewest, 0)] {
		if meets(r, &v, now) {
			found = append(found, v)
		}
	}
	return found
}

func meets(r *proget.RetentionRule, v *db.VersionUse, now time.Time) bool {
	used := v.Published // or what nobody had the time to download would go
	if v.LastUsed.After(used) {
		used = v.LastUsed
	}
	switch {
	case r.Prereleases && !v.Prerelease,
		r.UnusedDays > 0 && now.Sub(used) < r.Unused(),
		r.AgeDays > 0 && now.Sub(v.Published) < r.Age(),
		r.MaxDownloads != nil && v.Downloads > *r.MaxDownloads,
		len(r.Names) > 0 && !matchAny(r.Names, v.Name),
		len(r.Versions) > 0 && !matchAny(r.Versions, v.Version),
		matchAny(r.KeepNames, v.Name),
		matchAny(r.KeepVersions, v.Version):
		return false
	}
	return true
}

// excess returns of versions, oldest first, the first to go until so many bytes
// are freed.
func excess(versions []db.VersionUse, bytes int64, newest int64) (gone []db.VersionUse) {
	ordered := slices.Clone(versions)
	slices.SortStableFunc(ordered, func(a, b db.VersionUse) int { return int(rankOf(a, newest) - rankOf(b, newest)) })
	for _, v := range ordered {
		if bytes <= 0 {
			break
		}
		bytes -= v.Bytes
		gone = append(gone, v)
	}
	return gone
}

// newestStable returns the id of a package's newest version that is no
// prerelease; 0 if there is none.
func newestStable(versions []db.VersionUse) int64 {
	for _, v := range slices.Backward(versions) {
		if !v.Prerelease {
			return v.ID
		}
	}
	return 0
}

func rankOf(v db.VersionUse, newest int64) Rank {
	switch {
	case v.Prerelease:
		return Prerelease
	case v.ID == newest:
		return Newest
	}
	return Older
}

func size(versions []db.VersionUse) (bytes int64) {
	for _, v := range versions {
		bytes += v.Bytes
	}
	return bytes
}

func choices(versions []db.VersionUse, rule int) (all []Choice) {
	for _, v := range versions {
		all = append(all, Choice{v, rule})
	}
	return all
}

func without(versions, gone []db.VersionUse) (rest []db.VersionUse) {
	chosen := make(map[int64]bool, len(gone))
	for _, v := range gone {
		chosen[v.ID] = true
	}
	for _, v := range versions {
		if !chosen[v.ID] {
			rest = append(rest, v)
		}
	}
	return rest
}

func matchAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, text) })
}

// match reports whether a text has the form of a pattern, in which * is any text.
func match(pattern, text string) bool {
	text = strings.ToLower(text)
	first, rest, wild := strings.Cut(strings.ToLower(pattern), "*")
	text, ok := strings.CutPrefix(text, first)
	if !wild || !ok {
		return ok && text == ""
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		if _, text, ok = strings.Cut(text, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}
