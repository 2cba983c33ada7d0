package db

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
)

// A User is an account of the built-in directory.
type User struct {
	ID           int64
	Name         string
	PasswordHash string
	SessionEpoch int64 // grows with every change of password, and exceeds that of a former account of the name; older sessions are void
}

// A Key is an API key. Only a hash of the key itself is stored.
type Key struct {
	ID      int64
	Name    string // shown to people
	Hash    string // hex SHA-256 of the key
	FeedID  int64  // the only feed that it opens; 0 for all
	Task    proget.Task
	Created time.Time
	Expires time.Time // zero: never
}

// A Permission allows a subject to do a task.
type Permission struct {
	Subject string // "anonymous", "authenticated" or "user:" followed by the key of the name
	FeedID  int64  // 0: all feeds
	Task    proget.Task
}

// FindUser returns an account by name without regard to case, or
// proget.ErrNotFound.
func (s *Store) FindUser(ctx context.Context, name string) (User, error) {
	var u User
	err := one(ctx, s.read, "FindUser", []sql.NamedArg{arg("name_key", strings.ToLower(name))},
		&u.ID, &u.Name, &u.PasswordHash, &u.SessionEpoch)
	return u, err
}

// ListUsers returns the names of all accounts. An administrator determines their
// number.
func (s *Store) ListUsers(ctx context.Context) ([]string, error) {
	return list(ctx, s.read, "ListUsers", column[string])
}

// LockUser locks an account until the transaction ends, and reports whether it exists.
func (tx *Tx) LockUser(ctx context.Context, name string) (bool, error) {
	n, err := tx.run(ctx, "LockUser", arg("name_key", strings.ToLower(name)))
	return n > 0, err
}

// DeleteUser removes an account and reports whether it existed. It leaves the account's
// permissions: see RevokeAll.
func (tx *Tx) DeleteUser(ctx context.Context, name string) (bool, error) {
	n, err := tx.run(ctx, "DeleteUser", arg("name_key", strings.ToLower(name)))
	return n > 0, err
}

// CreateUser adds an account.
func (tx *Tx) CreateUser(ctx context.Context, name, passwordHash string) error {
	_, err := tx.run(ctx, "InsertUser", arg("name", name), arg("name_key", strings.ToLower(name)), arg("password_hash", passwordHash))
	return err
}

// SetPassword replaces an account's password and ends its sessions. It reports
// whether the account exists.
func (tx *Tx) SetPassword(ctx context.Context, name, passwordHash string) (bool, error) {
	n, err := tx.run(ctx, "SetPassword", arg("name_key", strings.ToLower(name)), arg("password_hash", passwordHash))
	return n > 0, err
}

// FindKey returns the unexpired API key with that hash, or proget.ErrNotFound.
func (s *Store) FindKey(ctx context.Context, hash string) (k Key, err error) {
	err = s.read(ctx, func(c *conn) error {
		k, err = c.findKey(ctx, hash)
		return err
	})
	return k, err
}

// FindKey is Store.FindKey within a transaction.
func (tx *Tx) FindKey(ctx context.Context, hash string) (Key, error) {
	k, err := tx.findKey(ctx, hash)
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.Errorf(proget.ErrNotFound, "There is no such API key, or it has expired.")
	}
	return k, err
}

func (c *conn) findKey(ctx context.Context, hash string) (k Key, err error) {
	k.Hash = hash
	err = c.one(ctx, "FindKey", []sql.NamedArg{arg("key_hash", hash)}, k.fields()...)
	return k, err
}

func (k *Key) fields() []any {
	return []any{&k.ID, &k.Name, &k.FeedID, &k.Task, (*instant)(&k.Created), (*instant)(&k.Expires)}
}

// ListKeys returns all API keys, even expired ones, without their hashes and in the
// order in which they were created. An administrator determines their number.
func (s *Store) ListKeys(ctx context.Context) ([]Key, error) {
	return list(ctx, s.read, "ListKeys", (*Key).fields)
}

// DeleteKey removes an API key and reports whether it existed.
func (tx *Tx) DeleteKey(ctx context.Context, id int64) (bool, error) {
	n, err := tx.run(ctx, "DeleteKey", arg("key_id", id))
	return n > 0, err
}

// CreateKey adds an API key.
func (tx *Tx) CreateKey(ctx context.Context, k Key) error {
	_, err := tx.run(ctx, "InsertKey", arg("name", k.Name), arg("key_hash", k.Hash), arg("task", string(k.Task)),
		arg("feed_id", sql.NullInt64{Int64: k.FeedID, Valid: k.FeedID != 0}),
		arg("expires", sql.NullInt64{Int64: k.Expires.UnixMicro(), Valid: !k.Expires.IsZero()}))
	return err
}

// ListPermissions returns all permissions. An administrator determines their number,
// which is small.
func (s *Store) ListPermissions(ctx context.Context) ([]Permission, error) {
	return list(ctx, s.read, "ListPermissions", func(p *Permission) []any { return []any{&p.Subject, &p.FeedID, &p.Task} })
}

// Grant adds a permission.
func (tx *Tx) Grant(ctx context.Context, p Permission) error {
	_, err := tx.run(ctx, "InsertPermission", arg("subject", p.Subject), arg("task", string(p.Task)),
		arg("feed_id", sql.NullInt64{Int64: p.FeedID, Valid: p.FeedID != 0}))
	return err
}

// Revoke removes a subject's permissions for one feed or, with feedID 0, those that
// apply to all feeds.
func (tx *Tx) Revoke(ctx context.Context, subject string, feedID int64) error {
	_, err := tx.run(ctx, "DeletePermission", arg("subject", subject), arg("feed_id", feedID))
	return err
}

// RevokeAll removes all permissions of a subject.
func (tx *Tx) RevokeAll(ctx context.Context, subject string) error {
	_, err := tx.run(ctx, "DeleteSubjectPermissions", arg("subject", subject))
	return err
}
