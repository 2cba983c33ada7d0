package admin

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
)

// A NewAPIKey describes an API key to be created.
type NewAPIKey struct {
	Name    string      // for people
	Text    string      // the key itself; "" generates one
	Task    proget.Task // what the key may do
	Feed    string      // name of the only feed that it is for; "" means all feeds
	Expires time.Time   // zero means never
}

// Keys returns all API keys, including expired ones, without their texts, which are not
// stored.
func (a *Administrator) Keys(ctx context.Context) ([]db.Key, error) { return a.db.ListKeys(ctx) }

// CreateKey adds an API key and returns it with its text, which is not stored.
func (a *Administrator) CreateKey(ctx context.Context, k NewAPIKey, by proget.Principal) (made db.Key, text string, err error) {
	if text = k.Text; text == "" {
		text = NewKey()
	}
	if err := cmp.Or(checkName(k.Name), CheckKey(text), checkScope(k.Task, k.Feed), checkExpiry(k.Expires)); err != nil {
		return made, "", err
	}
	err = a.change(ctx, by, func(tx *db.Tx) error {
		row := db.Key{Name: k.Name, Hash: auth.HashKey(text), Task: k.Task, Expires: k.Expires}
		if row.FeedID, err = feedID(ctx, tx, k.Feed); err != nil {
			return err
		}
		made = row
		if err := tx.CreateKey(ctx, row); err != nil {
			return err
		}
		made, err = tx.FindKey(ctx, row.Hash)
		if errors.Is(err, proget.ErrNotFound) {
			err = proget.Errorf(proget.ErrInvalid, "The API key's expiry date is in the past: choose a later one.")
		}
		return err
	}, "an API key was created", "key", k.Name, "task", k.Task, "feed", k.Feed)
	if errors.Is(err, proget.ErrConflict) {
		err = proget.WrapError(proget.ErrConflict, err, "This API key already exists.")
	}
	return made, text, err
}

// CreateKeyOnce is CreateKey for callers that may repeat a call: it also succeeds if a
// key with the same text, name, task, feed and expiry exists.
func (a *Administrator) CreateKeyOnce(ctx context.Context, k NewAPIKey, by proget.Principal) (made db.Key, text string, err error) {
	made, text, err = a.CreateKey(ctx, k, by)
	if !errors.Is(err, proget.ErrConflict) {
		return made, text, err
	}
	present, findErr := a.db.FindKey(ctx, made.Hash)
	if findErr != nil {
		return made, "", errors.Join(err, findErr)
	}
	if present.Name != made.Name || present.Task != made.Task || present.FeedID != made.FeedID || !present.Expires.Equal(made.Expires) {
		return made, "", proget.WrapError(proget.ErrConflict, err, "This form has already created another API key. Send it again to create one with the present settings.")
	}
	return present, text, nil
}

// checkExpiry returns proget.ErrInvalid for a time that JSON, or some database, cannot
// represent: a year of five digits.
func checkExpiry(t time.Time) error {
	if t.UTC().Year() >= 9999 {
		return proget.Errorf(proget.ErrInvalid, "An API key expires before the year 9999, or never.")
	}
	return nil
}

// DeleteKey removes an API key. Every server refuses it from then on.
func (a *Administrator) DeleteKey(ctx context.Context, id int64, by proget.Principal) error {
	return a.change(ctx, by, func(tx *db.Tx) error {
		found, err := tx.DeleteKey(ctx, id)
		return orMissing(found, err, "There is no API key with the id %d.", id)
	}, "an API key was deleted", "id", id)
}
