package admin

import (
	"cmp"
	"context"
	"fmt"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
)

// Users returns the names of all accounts.
func (a *Administrator) Users(ctx context.Context) ([]string, error) { return a.db.ListUsers(ctx) }

// CreateUser adds an account with only the permissions that everybody has.
func (a *Administrator) CreateUser(ctx context.Context, name, password string, by proget.Principal) error {
	if err := cmp.Or(checkUser(name), CheckPassword(password)); err != nil {
		return err
	}
	hash, err := hashPassword(password)
	if err != nil {
		return err
	}
	err = a.change(ctx, by, func(tx *db.Tx) error { return tx.CreateUser(ctx, name, hash) }, "a user was created", "user", name)
	return nameTaken(err, name)
}

// SetPassword replaces an account's password and ends its sessions.
func (a *Administrator) SetPassword(ctx context.Context, name, password string, by proget.Principal) error {
	if err := CheckPassword(password); err != nil {
		return err
	}
	hash, err := hashPassword(password)
	if err != nil {
		return err
	}
	return a.change(ctx, by, func(tx *db.Tx) error {
		found, err := tx.SetPassword(ctx, name, hash)
		return orMissing(found, err, "There is no user named %.60q.", name)
	}, "a password was set", "user", name)
}

func hashPassword(password string) (string, error) {
	hash, err := auth.HashPassword(password)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// DeleteUser removes an account with its permissions and ends its sessions. Users
// cannot delete themselves, so that an administrator remains.
func (a *Administrator) DeleteUser(ctx context.Context, name string, by proget.Principal) error {
	subject := auth.SubjectUser(name)
	if isSelf(subject, by) {
		return proget.Errorf(proget.ErrConflict, "This is your own account. Another administrator can delete it.")
	}
	return a.change(ctx, by, func(tx *db.Tx) error {
		found, err := tx.DeleteUser(ctx, name)
		if err := orMissing(found, err, "There is no user named %.60q.", name); err != nil {
			return err
		}
		return tx.RevokeAll(ctx, subject)
	}, "a user was deleted", "user", name)
}

// A Grant allows a subject a task in one feed, or everywhere.
type Grant struct {
	Subject string // as in package auth
	Feed    string // the feed's name; "" means everywhere
	Task    proget.Task
}

// Permissions returns all permissions, which refer to feeds by ID.
func (a *Administrator) Permissions(ctx context.Context) ([]db.Permission, error) {
	return a.db.ListPermissions(ctx)
}

// Grant allows a subject a task, and those that it includes, in a feed or everywhere.
// It replaces the subject's previous permission there. Users cannot change their own
// permissions, so that an administrator remains.
func (a *Administrator) Grant(ctx context.Context, g Grant, by proget.Principal) error {
	if err := checkScope(g.Task, g.Feed); err != nil {
		return err
	}
	if _, user := auth.SubjectsUser(g.Subject); g.Task == proget.TaskAdminister && !user {
		return proget.Errorf(proget.ErrInvalid, "Only a user can be made an administrator.")
	}
	return a.replace(ctx, g, by, func(tx *db.Tx, feedID int64) error {
		return tx.Grant(ctx, db.Permission{Subject: g.Subject, FeedID: feedID, Task: g.Task})
	}, "a permission was granted")
}

// Revoke removes a subject's permission in a feed or, with feed "", everywhere.
func (a *Administrator) Revoke(ctx context.Context, subject, feed string, by proget.Principal) error {
	return a.replace(ctx, Grant{Subject: subject, Feed: feed}, by, func(*db.Tx, int64) error { return nil }, "a permission was revoked")
}

// replace removes a subject's permission in a feed and then calls fn.
func (a *Administrator) replace(ctx context.Context, g Grant, by proget.Principal, fn func(tx *db.Tx, feedID int64) error, what string) error {
	if isSelf(g.Subject, by) {
		return proget.Errorf(proget.ErrConflict, "These are your own permissions. Another administrator can change them.")
	}
	return a.change(ctx, by, func(tx *db.Tx) error {
		if err := findSubject(ctx, tx, g.Subject); err != nil {
			return err
		}
		id, err := feedID(ctx, tx, g.Feed)
		if err != nil {
			return err
		}
		if err := tx.Revoke(ctx, g.Subject, id); err != nil {
			return err
		}
		return fn(tx, id)
	}, what, "subject", g.Subject, "feed", g.Feed, "task", g.Task)
}

// findSubject returns proget.ErrNotFound if the subject does not exist, and locks an
// account against deletion.
func findSubject(ctx context.Context, tx *db.Tx, subject string) error {
	if subject == auth.SubjectAnonymous || subject == auth.SubjectAuthenticated {
		return nil
	}
	name, found := auth.SubjectsUser(subject)
	var err error
	if found {
		found, err = tx.LockUser(ctx, name)
	}
	return orMissing(found, err, "There is no user named %.60q.", name)
}

func isSelf(subject string, by proget.Principal) bool {
	return by.User != "" && subject == auth.SubjectUser(by.User)
}
