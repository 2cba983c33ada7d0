package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

// AdminName is the name of the first administrator.
const AdminName = "Admin"

const settingInitialized = "initialized"

// FirstStart is the initial content of an empty database. Initialize generates what is
// not set.
type FirstStart struct {
	Password string         // the administrator's password; "" generates one
	APIKey   string         // a key that may manage every feed; "" generates one
	Feeds    []*proget.Feed // nil creates one feed of each type, named after the type
}

// Secrets are the credentials that Initialize generated or was given. The database
// keeps only their hashes, so they can be shown only once.
type Secrets struct {
	Password string
	APIKey   string
	Feeds    []*proget.Feed // the feeds that were created
}

// Initialize fills an empty database with an administrator, an API key, feeds, and
// permission for everybody to view. It returns nil secrets if another node or an
// earlier start has already done so.
func Initialize(ctx context.Context, store *db.Store, types []feed.Type, first FirstStart) (*Secrets, error) {
	settings, err := store.Settings(ctx)
	if err != nil || settings[settingInitialized] != "" {
		return nil, err
	}
	first.complete(types)
	if err := first.Check(types); err != nil {
		return nil, err
	}
	hash, err := auth.HashPassword(first.Password)
	if err != nil {
		return nil, fmt.Errorf("hash the administrator's password: %w", err)
	}
	err = store.Administer(ctx, "first start", func(tx *db.Tx) error { return first.fill(ctx, tx, hash) })
	if errors.Is(err, proget.ErrConflict) && initialized(ctx, store) {
		return nil, nil // another node was first
	}
	if err != nil {
		return nil, fmt.Errorf("fill the empty database: %w", err)
	}
	return &Secrets{first.Password, first.APIKey, first.Feeds}, nil
}

// initialized reports whether a first start has committed. If Initialize conflicts with
// itself, as with two feeds of one name, none has.
func initialized(ctx context.Context, store *db.Store) bool {
	settings, err := store.Settings(ctx)
	return err == nil && settings[settingInitialized] != ""
}

// Check returns proget.ErrInvalid if Initialize would refuse the values for these feed
// types.
func (first *FirstStart) Check(types []feed.Type) error {
	if first.Password != "" {
		if err := admin.CheckPassword(first.Password); err != nil {
			return err
		}
	}
	if first.APIKey != "" {
		if err := admin.CheckKey(first.APIKey); err != nil {
			return err
		}
	}
	return checkFeeds(first.Feeds, types)
}

// complete generates the values that are not set.
func (first *FirstStart) complete(types []feed.Type) {
	if first.Password == "" {
		first.Password = rand.Text()
	}
	if first.APIKey == "" {
		first.APIKey = admin.NewKey()
	}
	if first.Feeds == nil {
		for _, t := range types {
			first.Feeds = append(first.Feeds, &proget.Feed{Name: t.Name, Type: t.Name})
		}
	}
}

func checkFeeds(feeds []*proget.Feed, types []feed.Type) error {
	seen := make(map[string]bool)
	for _, f := range feeds {
		if f == nil {
			return proget.Errorf(proget.ErrInvalid, "One of the feeds to be made is nil.")
		}
		if err := admin.CheckFeed(f, types); err != nil {
			return err
		}
		if seen[strings.ToLower(f.Name)] {
			return proget.Errorf(proget.ErrInvalid, "Two feeds are named %s; names are unique without regard to case.", f.Name)
		}
		seen[strings.ToLower(f.Name)] = true
	}
	return nil
}

// fill writes everything. A second node gets a conflict because the setting already
// exists, and so learns that it is not the first.
func (first *FirstStart) fill(ctx context.Context, tx *db.Tx, hash string) error {
	if _, done, err := tx.Setting(ctx, settingInitialized); done || err != nil {
		if done {
			err = proget.Errorf(proget.ErrConflict, "The database is not empty.")
		}
		return err
	}
	if err := tx.AddSetting(ctx, settingInitialized, "yes"); err != nil {
		return err
	}
	if err := tx.CreateUser(ctx, AdminName, hash); err != nil {
		return err
	}
	for _, p := range []db.Permission{
		{Subject: auth.SubjectUser(AdminName), Task: proget.TaskAdminister},
		{Subject: auth.SubjectAnonymous, Task: proget.TaskView},
	} {
		if err := tx.Grant(ctx, p); err != nil {
			return err
		}
	}
	if err := tx.CreateKey(ctx, db.Key{Name: "first start", Hash: auth.HashKey(first.APIKey), Task: proget.TaskManage}); err != nil {
		return err
	}
	for _, f := range first.Feeds {
		f.Active = true
		if err := tx.CreateFeed(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// ResetAdminPassword sets the administrator's password, ends the account's sessions and
// returns the password. It generates one if password is "". If the account or its
// permission is gone, it creates it again.
func ResetAdminPassword(ctx context.Context, store *db.Store, password string) (string, error) {
	if password == "" {
		password = rand.Text()
	}
	hash, err := auth.HashPassword(password)
	if err != nil {
		return "", fmt.Errorf("hash the administrator's password: %w", err)
	}
	err = store.Administer(ctx, "resetadminpassword", func(tx *db.Tx) error {
		found, err := tx.SetPassword(ctx, AdminName, hash)
		if err == nil && !found {
			err = tx.CreateUser(ctx, AdminName, hash)
		}
		if err != nil {
			return err
		}
		subject := auth.SubjectUser(AdminName)
		if err := tx.Revoke(ctx, subject, 0); err != nil {
			return err
		}
		return tx.Grant(ctx, db.Permission{Subject: subject, Task: proget.TaskAdminister})
	})
	return password, err
}
