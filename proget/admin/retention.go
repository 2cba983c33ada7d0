package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/retention"
	"github.com/proget-go/ha/proget"
)

// Bounds of a feed's retention rules.
const (
	maxRules    = 50
	maxPatterns = 100 // in a condition
	maxPattern  = 250 // bytes
	maxNewest   = 1_000_000
	maxDays     = 36_500
	maxQuotaKB  = 1 << 40
)

// CheckRules returns proget.ErrInvalid if rules cannot be the retention rules of a
// feed.
func CheckRules(rules []proget.RetentionRule) error {
	if len(rules) > maxRules {
		return proget.Errorf(proget.ErrInvalid, "A feed has at most %d retention rules.", maxRules)
	}
	for i := range rules {
		if err := checkRule(&rules[i], i+1); err != nil {
			return err
		}
	}
	return nil
}

func checkRule(r *proget.RetentionRule, n int) error {
	downloads := int64(0)
	if r.MaxDownloads != nil {
		downloads = *r.MaxDownloads
	}
	for _, v := range []struct {
		what       string
		value, max int64
	}{
		{"number of versions to keep", int64(r.KeepNewest), maxNewest}, {"number of days without use", int64(r.UnusedDays), maxDays},
		{"number of days since publication", int64(r.AgeDays), maxDays}, {"number of downloads", downloads, 1 << 50}, {"size in KiB", r.QuotaKB, maxQuotaKB},
	} {
		if v.value < 0 || v.value > v.max {
			return proget.Errorf(proget.ErrInvalid, "In retention rule %d, the %s must be from 0 to %d.", n, v.what, v.max)
		}
	}
	for _, patterns := range [][]string{r.Names, r.KeepNames, r.Versions, r.KeepVersions} {
		if err := checkPatterns(patterns, n); err != nil {
			return err
		}
	}
	if !r.Selects() {
		return proget.Errorf(proget.ErrInvalid, "Retention rule %d does not say what to delete, so it would delete everything. If you want that, enter * as the name.", n)
	}
	return nil
}

func checkPatterns(patterns []string, n int) error {
	if len(patterns) > maxPatterns {
		return proget.Errorf(proget.ErrInvalid, "A condition of a retention rule has at most %d names; rule %d has more.", maxPatterns, n)
	}
	for _, p := range patterns {
		odd := func(r rune) bool { return r == ',' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
		switch {
		case strings.HasPrefix(p, "!"):
			return proget.Errorf(proget.ErrInvalid, "In retention rule %d, %.60q cannot be negated: enter it among the names or versions to keep.", n, p)
		case p == "" || len(p) > maxPattern || strings.ContainsFunc(p, odd):
			return proget.Errorf(proget.ErrInvalid, "In retention rule %d, %.60q is not a valid name or version: use 1 to %d bytes without white space or commas; * is any text.", n, p, maxPattern)
		}
	}
	return nil
}

// Retention returns the retention rules of all feeds, in their order, by feed ID.
func (a *Administrator) Retention(ctx context.Context) (map[int64][]proget.RetentionRule, error) {
	return a.db.ListRetentionRules(ctx)
}

// EditRules returns the retention rules that replace the present ones of a feed. It may
// be called more than once.
type EditRules func(present []proget.RetentionRule) ([]proget.RetentionRule, error)

// EditRetention changes the retention rules of a feed. Each rule gets a new ID, and a
// running job that applies the old ones stops.
func (a *Administrator) EditRetention(ctx context.Context, feed string, by proget.Principal, edit EditRules) error {
	return a.change(ctx, by, func(tx *db.Tx) error {
		f, err := tx.FindFeed(ctx, feed)
		if err != nil {
			return err
		}
		return editRules(ctx, tx, f, edit)
	}, "retention rules were changed", "feed", feed)
}

// editRules changes the rules of a feed. It also cancels a job that applies the old
// ones.
func editRules(ctx context.Context, tx *db.Tx, f *proget.Feed, edit EditRules) error {
	present, err := tx.RetentionRules(ctx, f.ID)
	if err != nil {
		return err
	}
	rules, err := edit(slices.Clone(present))
	if err != nil {
		return err
	}
	if err := CheckRules(rules); err != nil {
		return err
	}
	if slices.EqualFunc(present, rules, func(a, b proget.RetentionRule) bool { return a.String() == b.String() }) {
		return nil
	}
	return errors.Join(tx.SetRetentionRules(ctx, f.ID, rules), tx.StopJob(ctx, retention.Job(f, false, "").RunKey))
}

// RunRetention queues a job that applies the rules of a feed or, with dryRun, reports
// what they would delete. It returns proget.ErrConflict if such a job is already queued
// or running.
func (a *Administrator) RunRetention(ctx context.Context, f *proget.Feed, dryRun bool, by proget.Principal) error {
	err := a.change(ctx, by, func(tx *db.Tx) error { return tx.Enqueue(ctx, retention.Job(f, dryRun, by.String())) },
		"retention was started", "feed", f.Name, "dry", dryRun)
	if errors.Is(err, proget.ErrConflict) {
		return proget.WrapError(proget.ErrConflict, err, "This job is already waiting or running.")
	}
	return err
}

// LastRetention returns the newest job that applied a feed's rules or, with dryRun,
// that reported what they would delete. It returns proget.ErrNotFound if there is none.
func (a *Administrator) LastRetention(ctx context.Context, f *proget.Feed, dryRun bool) (proget.JobStatus, error) {
	j := retention.Job(f, dryRun, "")
	return a.db.LastJob(ctx, j.Kind, j.Argument)
}
