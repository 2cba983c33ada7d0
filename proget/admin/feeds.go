package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget"
)

// CreateFeed adds a feed, with its retention rules if any, and sets f.ID. It returns
// proget.ErrConflict if the name is taken.
func (a *Administrator) CreateFeed(ctx context.Context, f *proget.Feed, by proget.Principal, rules ...proget.RetentionRule) error {
	if err := CheckFeed(f, a.types); err != nil {
		return err
	}
	if err := CheckRules(rules); err != nil {
		return err
	}
	err := a.change(ctx, by, func(tx *db.Tx) error {
		if err := tx.CreateFeed(ctx, f); err != nil || len(rules) == 0 {
			return err
		}
		return tx.SetRetentionRules(ctx, f.ID, rules)
	}, "a feed was created", "feed", f.Name, "type", f.Type)
	return nameTaken(err, f.Name)
}

// UpdateFeed changes a feed by calling edit, which may change its name, its
// description, whether it is active, and its storage; a job then moves the files. The
// type is fixed, since packages depend on it. rules changes the retention rules; nil
// keeps them.
func (a *Administrator) UpdateFeed(ctx context.Context, name string, by proget.Principal, edit func(*proget.Feed), rules EditRules) (*proget.Feed, error) {
	var changed proget.Feed
	var refused error // the rules' error, which has its own message
	err := a.change(ctx, by, func(tx *db.Tx) error {
		f, err := tx.FindFeed(ctx, name)
		if err != nil {
			return err
		}
		changed = *f
		edit(&changed)
		if changed.Type != f.Type {
			return proget.Errorf(proget.ErrInvalid, "Feed %s has the type %s; that cannot be changed.", f.Name, f.Type)
		}
		if err := CheckFeed(&changed, a.types); err != nil {
			return err
		}
		if changed.StorageID != f.StorageID {
			if err := tx.EnqueueOnce(ctx, moving(&changed, by)); err != nil {
				return err
			}
		}
		if rules != nil {
			if refused = editRules(ctx, tx, f, rules); refused != nil {
				return refused
			}
		}
		return tx.UpdateFeed(ctx, &changed)
	}, "a feed was changed", "feed", name)
	if refused != nil {
		return &changed, err
	}
	return &changed, nameTaken(err, changed.Name)
}

// moving returns the job that moves a feed's files to its storage.
func moving(f *proget.Feed, by proget.Principal) db.NewJob {
	return db.NewJob{Kind: upkeep.KindMove, Argument: f.Name, Lane: upkeep.Lane, QueuedBy: by.String(),
		RunKey: fmt.Sprint(upkeep.KindMove, " ", f.ID, " ", f.StorageID)}
}

// nameTaken returns the error that tells people that a name is taken.
func nameTaken(err error, name string) error {
	if errors.Is(err, proget.ErrConflict) {
		return proget.WrapError(proget.ErrConflict, err, "The name %s is taken; names are unique without regard to case.", name)
	}
	return err
}

// DeleteFeed removes a feed, and the keys and permissions that are limited to it. It
// returns proget.ErrConflict if the feed has packages.
func (a *Administrator) DeleteFeed(ctx context.Context, name string, by proget.Principal) error {
	return a.change(ctx, by, func(tx *db.Tx) error { return tx.DeleteFeed(ctx, name) }, "a feed was deleted", "feed", name)
}
