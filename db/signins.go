package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/proget-go/ha/proget"
)

// A SignIn is the record of a subject's sign-ins. The subject is an account, a client
// address, or both together.
type SignIn struct {
	Failures int64         // since the last success, or since the record was last forgotten
	Age      time.Duration // of the last attempt that was recorded, by the database's clock
}

// FindSignIns returns the records of the given subjects, by subject. Subjects without
// one are missing from the map.
func (s *Store) FindSignIns(ctx context.Context, subjects ...string) (map[string]SignIn, error) {
	var all map[string]SignIn
	err := s.read(ctx, func(c *conn) error {
		all = make(map[string]SignIn)
		for _, subject := range subjects {
			var found SignIn
			err := c.one(ctx, "FindSignIn", []sql.NamedArg{arg("subject", subject)}, &found.Failures, (*span)(&found.Age))
			if errors.Is(err, proget.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			all[subject] = found
		}
		return nil
	})
	return all, err
}

// CountSignInFailure counts a failed sign-in of a subject, whose record is forgotten if
// no other follows within kept. If the outcome of a commit is lost, the failure is
// counted again: that only makes the subject wait sooner, while a lost count would
// allow one more guess.
func (s *Store) CountSignInFailure(ctx context.Context, subject string, kept time.Duration) error {
	return s.putSignIn(ctx, "CountSignInFailure", subject, 1, kept)
}

// ResetSignIn records that a subject has signed in, and keeps the record for kept.
func (s *Store) ResetSignIn(ctx context.Context, subject string, kept time.Duration) error {
	return s.putSignIn(ctx, "ResetSignIn", subject, 0, kept)
}

// putSignIn updates the record of a subject, or inserts it with the given number of
// failures.
func (s *Store) putSignIn(ctx context.Context, update, subject string, failures int64, kept time.Duration) error {
	return s.Tx(ctx, func(tx *Tx) error {
		return tx.put(ctx, update, "InsertSignIn", arg("subject", subject), arg("kept", kept.Microseconds()), arg("failures", failures))
	})
}

// DeleteExpiredSignIns removes the records that have expired.
func (tx *Tx) DeleteExpiredSignIns(ctx context.Context) error {
	_, err := tx.run(ctx, "DeleteExpiredSignIns")
	return err
}
