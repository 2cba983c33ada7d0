package admin

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

// An Administrator changes an installation. It is safe for concurrent use.
type Administrator struct {
	db        *db.Store
	types     []feed.Type
	scheduler *indexing.Scheduler
	log       *slog.Logger
}

// New returns an Administrator for an installation with feeds of the given types and
// the scheduler's tasks. If log is nil, it uses slog.Default().
func New(store *db.Store, types []feed.Type, scheduler *indexing.Scheduler, log *slog.Logger) *Administrator {
	if log == nil {
		log = slog.Default()
	}
	return &Administrator{store, types, scheduler, log}
}

// change runs fn as a change of the installation, and logs it.
func (a *Administrator) change(ctx context.Context, by proget.Principal, fn func(*db.Tx) error, what string, about ...any) error {
	if err := a.db.Administer(ctx, by.String(), fn); err != nil {
		return err
	}
	a.log.InfoContext(ctx, what, append(about, "by", by.String())...)
	return nil
}

// MinSecret is the minimum number of characters of a password or key.
const MinSecret = 8

const maxSecret = 200 // characters, each at most four bytes

// CheckPassword returns proget.ErrInvalid if password cannot be used as one.
func CheckPassword(password string) error {
	if n := utf8.RuneCountInString(password); n < MinSecret || n > maxSecret {
		return proget.Errorf(proget.ErrInvalid, "A password must have %d to %d characters.", MinSecret, maxSecret)
	}
	return nil
}

// CheckKey returns proget.ErrInvalid if key cannot be used as an API key: clients put
// keys into headers and treat one with a colon as a name and a password, and servers
// treat one with a token's prefix as a token.
func CheckKey(key string) error {
	switch {
	case len(key) < MinSecret || len(key) > maxSecret:
		return proget.Errorf(proget.ErrInvalid, "An API key must have %d to %d characters.", MinSecret, maxSecret)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }):
		return proget.Errorf(proget.ErrInvalid, "An API key must consist of printable ASCII characters, without white space or colons.")
	case strings.HasPrefix(key, auth.TokenPrefix):
		return proget.Errorf(proget.ErrInvalid, "An API key must not begin with %s, as tokens do.", auth.TokenPrefix)
	}
	return nil
}

// NewKey returns a random API key.
func NewKey() string { return strings.ToLower(rand.Text() + rand.Text()) }

// CheckFeed returns proget.ErrInvalid if f cannot be a feed of one of the types.
func CheckFeed(f *proget.Feed, types []feed.Type) error {
	if !feed.ValidName(f.Name) {
		return proget.Errorf(proget.ErrInvalid, "%.60q is not a valid feed name: use 1 to 50 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit.", f.Name)
	}
	i := slices.IndexFunc(types, func(t feed.Type) bool { return t.Name == f.Type })
	if i < 0 {
		var known []string
		for _, t := range types {
			known = append(known, t.Name)
		}
		return proget.Errorf(proget.ErrInvalid, "Feed %.60s has the type %.60q; this server knows %s.", f.Name, f.Type, strings.Join(known, ", "))
	}
	if types[i].FeedName != nil {
		if _, err := types[i].FeedName(f.Name); err != nil {
			return err
		}
	}
	if len(f.Description) > maxText {
		return proget.Errorf(proget.ErrInvalid, "The description is longer than %d bytes.", maxText)
	}
	return nil
}

const (
	maxText = 4000 // bytes of free text
	maxName = 100
)

// checkName returns proget.ErrInvalid if name cannot be the name of a key or user.
func checkName(name string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unprintable) {
		return proget.Errorf(proget.ErrInvalid, "%.60q is not a valid name: use 1 to %d bytes of text without white space around it.", name, maxName)
	}
	return nil
}

// checkUser returns proget.ErrInvalid if name cannot be the name of a user. With a
// colon, nobody could sign in; "api" and "__token__" are names that clients send with a
// key.
func checkUser(name string) error {
	if strings.Contains(name, ":") || strings.EqualFold(name, "api") || strings.EqualFold(name, "__token__") {
		return proget.Errorf(proget.ErrInvalid, "%.60q is not a valid user name: use one without a colon, and neither \"api\" nor \"__token__\".", name)
	}
	return checkName(name)
}

// checkScope returns proget.ErrInvalid if the task cannot be granted in a feed or, with
// feed "", everywhere.
func checkScope(task proget.Task, feed string) error {
	switch {
	case task.Rank() == 0:
		return proget.Errorf(proget.ErrInvalid, "There is no permission %.60q: use view, publish, manage or administer.", string(task))
	case task == proget.TaskAdminister && feed != "":
		return proget.Errorf(proget.ErrInvalid, "The permission to administer is for the whole installation: do not name a feed.")
	}
	return nil
}

// feedID returns a feed's ID and locks the feed against deletion; it returns 0 if name
// is "".
func feedID(ctx context.Context, tx *db.Tx, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	f, err := tx.FindFeed(ctx, name)
	if err != nil {
		return 0, err
	}
	return f.ID, nil
}

// orMissing returns err or, if nothing was found, proget.ErrNotFound.
func orMissing(found bool, err error, format string, args ...any) error {
	if err == nil && !found {
		return proget.Errorf(proget.ErrNotFound, format, args...)
	}
	return err
}
