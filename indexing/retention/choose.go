package retention

import (
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A Candidate is a version of a package with the facts that decide whether it is
// deleted.
type Candidate struct {
	db.VersionUse
	Names  []string // under which people know it: its version or, for a container image, its tags
	Pinned bool     // a tag points at it that would vanish, or point elsewhere, without it
	Needs  []string // keys of versions of the package that stay as long as it does, such as those that an index lists
}

// A Choice is a version to delete.
type Choice struct {
	Candidate
	Rule int // the first rule that chose it, counted from 1
}

// A Rank determines the order in which versions are deleted to meet a quota for the
// whole feed.
type Rank int

// The ranks, in the order of deletion.
const (
	Prerelease Rank = iota
	Older
	Newest // the newest stable version of its package
	ranks
)

// A Chooser decides which versions of a feed to delete. It is given one package after
// the other, each with all its versions, oldest first.
type Chooser struct {
	Rules []proget.RetentionRule
	Now   time.Time
	Bytes int64 // present total of the feed's packages; the caller updates it
}

// Package returns the versions of a package to delete by all rules but those with a
// quota for the whole feed. Each rule sees what the rules before it left.
func (c *Chooser) Package(versions []Candidate) []Choice {
	gone, _ := c.alone(versions)
	return gone
}

// Excess reports whether Bytes exceeds a rule's quota for the whole feed.
func (c *Chooser) Excess() bool {
	return slices.ContainsFunc(c.Rules, func(r proget.RetentionRule) bool { return feedWide(&r) && c.Bytes > quota(&r) })
}

// Over returns the versions of a rank to delete by the rules with a quota for the whole
// feed, as long as Bytes exceeds it. Call Package for all packages first, and then Over
// for all packages with one rank after the other.
func (c *Chooser) Over(rank Rank, versions []Candidate) (gone []Choice) {
	_, rest := c.alone(versions)
	newest, bytes := newestStable(free(rest)), c.Bytes
	return c.apply(rest, feedWide, func(r *proget.RetentionRule, rest []Candidate) (chosen []Candidate) {
		for _, v := range matching(r, rest, c.Now) {
			if rankOf(v, newest) != rank || bytes <= quota(r) {
				continue
			}
			bytes -= v.Bytes
			chosen = append(chosen, v)
			if len(v.Needs) > 0 {
				break // what it needed goes before others
			}
		}
		return chosen
	})
}

func (c *Chooser) alone(versions []Candidate) (gone []Choice, rest []Candidate) {
	gone = c.apply(versions, func(r *proget.RetentionRule) bool { return !feedWide(r) }, func(r *proget.RetentionRule, rest []Candidate) []Candidate {
		chosen := matching(r, rest, c.Now)
		if r.QuotaKB > 0 {
			chosen = excess(chosen, size(rest)-quota(r), newestStable(free(rest)))
		}
		return chosen
	})
	return gone, without(versions, gone)
}

// apply makes the rules of a kind choose one after the other, each until it finds no
// more: versions that a chosen one needed can be chosen after it.
func (c *Chooser) apply(rest []Candidate, kind func(*proget.RetentionRule) bool, choose func(r *proget.RetentionRule, rest []Candidate) []Candidate) (gone []Choice) {
	for i := range c.Rules {
		r := &c.Rules[i]
		if !kind(r) {
			continue
		}
		for {
			chosen := choices(choose(r, rest), i+1)
			if len(chosen) == 0 {
				break
			}
			gone, rest = append(gone, chosen...), without(rest, chosen)
		}
	}
	return gone
}

func feedWide(r *proget.RetentionRule) bool { return r.QuotaKB > 0 && !r.PerPackage }

func quota(r *proget.RetentionRule) int64 { return r.QuotaKB << 10 }

// matching returns the versions of a package that meet all conditions of a rule except
// its quota.
func matching(r *proget.RetentionRule, versions []Candidate, now time.Time) (found []Candidate) {
	versions = free(versions)
	for _, v := range versions[:max(len(versions)-r.KeepNewest, 0)] {
		if meets(r, &v, now) {
			found = append(found, v)
		}
	}
	return found
}

// free returns the versions that no other version needs.
func free(versions []Candidate) []Candidate {
	needed := make(map[string]bool)
	for _, v := range versions {
		for _, key := range v.Needs {
			needed[key] = true
		}
	}
	if len(needed) == 0 {
		return versions
	}
	return slices.DeleteFunc(slices.Clone(versions), func(v Candidate) bool { return needed[v.Key] })
}

func meets(r *proget.RetentionRule, v *Candidate, now time.Time) bool {
	used := v.Published // otherwise, versions would go that nobody had time to download
	if v.LastUsed.After(used) {
		used = v.LastUsed
	}
	switch {
	case v.Pinned,
		r.Prereleases && !v.Prerelease,
		r.UnusedDays > 0 && now.Sub(used) < r.Unused(),
		r.AgeDays > 0 && now.Sub(v.Published) < r.Age(),
		r.MaxDownloads != nil && v.Downloads > *r.MaxDownloads,
		len(r.Names) > 0 && !matchAny(r.Names, v.Name),
		matchAny(r.KeepNames, v.Name):
		return false
	}
	for _, name := range v.Names { // all of them go with the version
		if len(r.Versions) > 0 && !matchAny(r.Versions, name) || matchAny(r.KeepVersions, name) {
			return false
		}
	}
	return true
}

// excess returns those of versions, given oldest first, that go first, until the given
// number of bytes is freed or one goes that needed others.
func excess(versions []Candidate, bytes int64, newest int64) (gone []Candidate) {
	ordered := slices.Clone(versions)
	slices.SortStableFunc(ordered, func(a, b Candidate) int { return int(rankOf(a, newest) - rankOf(b, newest)) })
	for _, v := range ordered {
		if bytes <= 0 {
			break
		}
		bytes -= v.Bytes
		gone = append(gone, v)
		if len(v.Needs) > 0 {
			break // what it needed goes before others
		}
	}
	return gone
}

// newestStable returns the id of a package's newest version that is not a prerelease,
// or 0.
func newestStable(versions []Candidate) int64 {
	for _, v := range slices.Backward(versions) {
		if !v.Prerelease {
			return v.ID
		}
	}
	return 0
}

func rankOf(v Candidate, newest int64) Rank {
	switch {
	case v.Prerelease:
		return Prerelease
	case v.ID == newest:
		return Newest
	}
	return Older
}

func size(versions []Candidate) (bytes int64) {
	for _, v := range versions {
		bytes += v.Bytes
	}
	return bytes
}

func choices(versions []Candidate, rule int) (all []Choice) {
	for _, v := range versions {
		all = append(all, Choice{v, rule})
	}
	return all
}

func without(versions []Candidate, gone []Choice) (rest []Candidate) {
	chosen := make(map[int64]bool, len(gone))
	for _, c := range gone {
		chosen[c.ID] = true
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

// match reports whether text matches pattern, in which * stands for any text; case is
// ignored.
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
