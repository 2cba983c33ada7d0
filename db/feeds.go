package db

import (
	"context"
	"database/sql"
	"strings"

	"github.com/proget-go/ha/proget"
)

// FeedStats are a feed's totals, a moment old.
type FeedStats struct {
	Packages, Versions, Bytes int64
}

// ListFeeds returns all feeds by name. Their number is an administrator's
// choice and small.
func (s *Store) ListFeeds(ctx context.Context) ([]*proget.Feed, error) {
	var feeds []*proget.Feed
	err := s.read(ctx, func(c *conn) error {
		feeds = nil
		return c.each(ctx, "ListFeeds", nil, func(rows *sql.Rows) error {
			f := new(proget.Feed)
			var created int64
			if err := rows.Scan(&f.ID, &f.Name, &f.Type, &f.Description, &f.Active, &created); err != nil {
				return err
			}
			f.Created = fromMicros(created)
			feeds = append(feeds, f)
			return nil
		})
	})
	return feeds, err
}

// CreateFeed adds a feed within a change of the system feed and sets f.ID.
func (tx *Tx) CreateFeed(ctx context.Context, f *proget.Feed) error {
	err := tx.one(ctx, "InsertFeed", []sql.NamedArg{
		arg("name", f.Name), arg("name_key", strings.ToLower(f.Name)), arg("feed_type", f.Type),
		arg("description", f.Description), arg("active", flag(f.Active))}, &f.ID)
	if err != nil {
		return err
	}
	if _, err := tx.run(ctx, "InsertFeedHead", arg("feed_id", f.ID)); err != nil {
		return err
	}
	_, err = tx.run(ctx, "InsertFeedStats", arg("feed_id", f.ID))
	return err
}

// ListFeedStats returns the totals of all feeds, keyed by feed id.
func (s *Store) ListFeedStats(ctx context.Context) (map[int64]FeedStats, error) {
	var stats map[int64]FeedStats
	err := s.readOld(ctx, func(c *conn) error {
		stats = make(map[int64]FeedStats)
		return c.each(ctx, "ListFeedStats", nil, func(rows *sql.Rows) error {
			var id int64
			var f FeedStats
			if err := rows.Scan(&id, &f.Packages, &f.Versions, &f.Bytes); err != nil {
				return err
			}
			stats[id] = f
			return nil
		})
	})
	return stats, err
}

// AddFeedStats adds what the log entries after one position and up to another
// changed to the feed's totals.
func (tx *Tx) AddFeedStats(ctx context.Context, feedID, after, upto int64) error {
	var d FeedStats
	err := tx.one(ctx, "SumLog", []sql.NamedArg{arg("feed_id", feedID), arg("after", after), arg("upto", upto)},
		&d.Packages, &d.Versions, &d.Bytes)
	if err != nil {
		return err
	}
	_, err = tx.run(ctx, "AddFeedStats", arg("feed_id", feedID),
		arg("packages", d.Packages), arg("versions", d.Versions), arg("bytes", d.Bytes))
	return err
}
