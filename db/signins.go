package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/proget-go/ha/proget"
)

// A SignIn is what is remembered of a subject's sign-ins: of an account, a client,
// or both together.
type SignIn struct {
	Failures int64         // since the last success, or since the subject was forgotten
	Age      time.Duration // of the last of them, by the database's clock
}

// FindSignIns returns what is remembered of each subject, by subject. Those of
// which nothing is are not in the map.
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

// CountSignInFailure counts a failure of a subject, which is forgotten if no other
// follows for so long. If the outcome of a commit is lost, it is counted once more: that
// only has the subject wait sooner, and one left out would let it guess once more.
func (s *Store) CountSignInFailure(ctx context.Context, subject string, kept time.Duration) error {
	return s.putSignIn(ctx, "CountSignInFailure", subject, 1, kept)
}

// ResetSignIn remembers for so long that a subject has signed in.
func (s *Store) ResetSignIn(ctx context.Context, subject string, kept time.Duration) error {
	return s.putSignIn(ctx, "ResetSignIn", subject, 0, kept)
}

// putSignIn updates the row of a subject, or inserts it with so many failures.
func (s *Store) putSignIn(ctx context.Context, update, subject string, failures int64, kept time.Duration) error {
	return s.Tx(ctx, func(tx *Tx) error {
		return tx.put(ctx, update, "InsertSignIn", arg("subject", subject), arg("kept", kept.Microseconds()), arg("failures", failures))
	})
}

// DeleteExpiredSignIns removes what counts for nothing any more.
func (tx *Tx) DeleteExpiredSignIns(ctx context.Context) error {
	_, err := tx.run(ctx, "DeleteExpiredSignIns")
	return err
}
