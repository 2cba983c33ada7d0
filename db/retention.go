package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/proget-go/ha/proget"
)

// ListRetentionRules returns the rules of all feeds in their order, by feed id. An
// administrator determines their number, which is small.
func (s *Store) ListRetentionRules(ctx context.Context) (rules map[int64][]proget.RetentionRule, err error) {
	err = s.read(ctx, func(c *conn) error {
		rules, err = c.retentionRules(ctx)
		return err
	})
	return rules, err
}

// RetentionRules returns the rules of a feed in their order.
func (tx *Tx) RetentionRules(ctx context.Context, feedID int64) ([]proget.RetentionRule, error) {
	all, err := tx.retentionRules(ctx)
	return all[feedID], err
}

func (c *conn) retentionRules(ctx context.Context) (map[int64][]proget.RetentionRule, error) {
	rules := make(map[int64][]proget.RetentionRule)
	err := c.each(ctx, "ListRetentionRules", nil, func(rows *sql.Rows) error {
		var r proget.RetentionRule
		var id, feedID int64
		var conditions string
		if err := rows.Scan(&id, &feedID, &conditions); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(conditions), &r); err != nil {
			return fmt.Errorf("read retention rule %d: %w", id, err)
		}
		r.ID = id
		rules[feedID] = append(rules[feedID], r)
		return nil
	})
	return rules, err
}

// SetRetentionRules replaces the rules of a feed that FindFeed returned, within
// a change of the system feed. Each gets a new id.
func (tx *Tx) SetRetentionRules(ctx context.Context, feedID int64, rules []proget.RetentionRule) error {
	if _, err := tx.run(ctx, "DeleteRetentionRules", arg("feed_id", feedID)); err != nil {
		return err
	}
	for _, r := range rules {
		conditions, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("write a retention rule: %w", err)
		}
		if _, err := tx.run(ctx, "InsertRetentionRule", arg("feed_id", feedID), arg("conditions", string(conditions))); err != nil {
			return err
		}
	}
	return nil
}

// A VersionUse is a version with the facts that tell whether it is still needed.
type VersionUse struct {
	ID         int64
	PackageKey string
	Key        string
	Name       string // the package's name as this version spells it
	Version    string
	Prerelease bool
	Published  time.Time
	LastUsed   time.Time // when it was last downloaded or restored; zero if never; may be a moment old
	Downloads  int64     // may be a moment old
	Bytes      int64     // total of its files
	Tags       []string  // tags that point at it
}

// ListVersionUse returns the versions of a feed's packages with keys between from and
// upto, both included. The versions of each package are together, in the order in which
// they were published.
func (s *Store) ListVersionUse(ctx context.Context, feedID int64, from, upto string) ([]VersionUse, error) {
	rows, err := list(ctx, s.read, "ListVersionUse", (*useRow).fields, arg("feed_id", feedID), arg("from_key", from), arg("upto", upto))
	var all []VersionUse
	for _, row := range rows {
		if last := len(all) - 1; last < 0 || all[last].ID != row.ID {
			all = append(all, row.VersionUse)
		}
		if v := &all[len(all)-1]; row.tag != "" {
			v.Tags = append(v.Tags, row.tag)
		}
	}
	return all, err
}

// useRow is a version with one of its tags, or "" if it has none.
type useRow struct {
	VersionUse
	tag string
}

func (r *useRow) fields() []any {
	return []any{&r.PackageKey, &r.ID, &r.Key, &r.Name, &r.Version, &r.Prerelease, (*instant)(&r.Published), (*instant)(&r.LastUsed), &r.Downloads, &r.Bytes, &r.tag}
}
