package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/proget-go/ha/proget"
)

// FeedStats are a feed's totals, which may be a moment old.
type FeedStats struct {
	Packages, Versions, Bytes int64
}

// ListFeeds returns all feeds by name. An administrator determines their number, which
// is small.
func (s *Store) ListFeeds(ctx context.Context) ([]*proget.Feed, error) {
	return list(ctx, s.read, "ListFeeds", func(f **proget.Feed) []any {
		*f = new(proget.Feed)
		return feedFields(*f)
	})
}

func feedFields(f *proget.Feed) []any {
	return []any{&f.ID, &f.Name, &f.Type, &f.Description, &f.Active, (*instant)(&f.Created), &f.StorageID, &f.Redirect}
}

// FindFeed finds a feed by name without regard to case and locks it until the
// transaction ends, or returns proget.ErrNotFound.
func (tx *Tx) FindFeed(ctx context.Context, name string) (*proget.Feed, error) {
	if _, err := tx.run(ctx, "LockFeed", arg("name_key", strings.ToLower(name))); err != nil {
		return nil, err
	}
	return tx.readFeed(ctx, name)
}

func (tx *Tx) readFeed(ctx context.Context, name string) (*proget.Feed, error) {
	f := new(proget.Feed)
	err := tx.one(ctx, "FindFeed", []sql.NamedArg{arg("name_key", strings.ToLower(name))}, feedFields(f)...)
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.Errorf(proget.ErrNotFound, "There is no feed named %.60q.", name)
	}
	return f, err
}

// UpdateFeed writes the name, description, storage and flags of a feed that FindFeed
// returned, within a change of the system feed. If another feed has the name, the error
// leaves the store as proget.ErrConflict.
func (tx *Tx) UpdateFeed(ctx context.Context, f *proget.Feed) error {
	return tx.updateFeed(ctx, f, strings.ToLower(f.Name))
}

func (tx *Tx) updateFeed(ctx context.Context, f *proget.Feed, nameKey string) error {
	_, err := tx.run(ctx, "UpdateFeed", arg("feed_id", f.ID), arg("name", f.Name), arg("name_key", nameKey),
		arg("description", f.Description), arg("active", flag(f.Active)), arg("storage_id", f.StorageID), arg("redirect", flag(f.Redirect)))
	return err
}

// DeleteFeed removes a feed that holds no packages, with its retention rules and the
// keys and permissions for it alone, within a change of the system feed. It returns
// proget.ErrNotFound if there is no such feed, and proget.ErrConflict if it holds
// packages.
//
// It removes the feed's head: a feed without one is not listed and accepts no change,
// not even from a publisher who found it a moment ago. The feed's row and log remain,
// as history and so that no other feed gets the id; the name is free.
func (tx *Tx) DeleteFeed(ctx context.Context, name string) error {
	f, err := tx.readFeed(ctx, name)
	if err != nil {
		return err
	}
	id := arg("feed_id", f.ID)
	n, err := tx.run(ctx, "DeleteFeedHead", id) // lock the head before the feed's row, as publishers do
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrNotFound, "Feed %s was deleted a moment ago.", f.Name)
	}
	if err != nil {
		return err
	}
	err = tx.each(ctx, "ListPackageKeys", []sql.NamedArg{id, arg("after", ""), arg("limit", 1)}, func(*sql.Rows) error {
		return proget.Errorf(proget.ErrConflict, "Feed %s holds packages. Delete them first, or make the feed inactive: it is then not served, and nothing is lost.", f.Name)
	})
	if err != nil {
		return err
	}
	f.Active = false
	if err := tx.updateFeed(ctx, f, fmt.Sprintf("/%d", f.ID)); err != nil { // no feed can have this name
		return err
	}
	for _, query := range []string{"DeleteFeedKeys", "DeleteFeedPermissions", "DeleteRetentionRules", "DeleteFollowers"} { // whoever inserts one has locked the feed's row
		if _, err := tx.run(ctx, query, id); err != nil {
			return err
		}
	}
	return nil
}

// CreateFeed adds a feed within a change of the system feed and sets f.ID.
func (tx *Tx) CreateFeed(ctx context.Context, f *proget.Feed) error {
	err := tx.one(ctx, "InsertFeed", []sql.NamedArg{
		arg("name", f.Name), arg("name_key", strings.ToLower(f.Name)), arg("feed_type", f.Type),
		arg("description", f.Description), arg("active", flag(f.Active)), arg("storage_id", f.StorageID), arg("redirect", flag(f.Redirect))}, &f.ID)
	if err != nil {
		return err
	}
	if _, err := tx.run(ctx, "InsertFeedHead", arg("feed_id", f.ID)); err != nil {
		return err
	}
	_, err = tx.run(ctx, "InsertFeedStats", arg("feed_id", f.ID))
	return err
}

// ListFeedStats returns the totals of all feeds by feed id.
func (s *Store) ListFeedStats(ctx context.Context) (map[int64]FeedStats, error) {
	return table(ctx, s.readOld, "ListFeedStats", func(id *int64, f *FeedStats) []any {
		return []any{id, &f.Packages, &f.Versions, &f.Bytes}
	})
}

// AddFeedStats adds to the feed's totals what the log entries after one position, up to
// another, changed. It returns ErrCompacted if some of these entries are gone.
func (tx *Tx) AddFeedStats(ctx context.Context, feedID, after, upto int64) error {
	var entries int64
	var d FeedStats
	err := tx.one(ctx, "SumLog", []sql.NamedArg{arg("feed_id", feedID), arg("after", after), arg("upto", upto)},
		&entries, &d.Packages, &d.Versions, &d.Bytes)
	if err != nil {
		return err
	}
	if entries != upto-after {
		return ErrCompacted
	}
	_, err = tx.run(ctx, "AddFeedStats", statsArgs(feedID, d)...)
	return err
}

// RecountFeed recounts the feed's totals and returns the log position at which they are
// true. Changes of the feed wait until the transaction ends.
func (tx *Tx) RecountFeed(ctx context.Context, feedID int64) (head int64, err error) {
	if _, err := tx.run(ctx, "LockFeedHead", arg("feed_id", feedID)); err != nil {
		return 0, err
	}
	var f FeedStats
	if err := tx.one(ctx, "CountFeed", []sql.NamedArg{arg("feed_id", feedID)}, &head, &f.Packages, &f.Versions, &f.Bytes); err != nil {
		return 0, err
	}
	_, err = tx.run(ctx, "SetFeedStats", statsArgs(feedID, f)...)
	return head, err
}

func statsArgs(feedID int64, f FeedStats) []sql.NamedArg {
	return []sql.NamedArg{arg("feed_id", feedID), arg("packages", f.Packages), arg("versions", f.Versions), arg("bytes", f.Bytes)}
}
