package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// hashing bounds how many passwords are hashed at once: each hash takes 19 MiB.
const hashing = 2

// waiting bounds how many sign-ins are checked or wait for that, about a second's work:
// they must not occupy all the requests that a server serves at once.
const waiting = 64

// kept bounds how many keys, users and checked passwords are kept in memory.
const kept = 4096

// An Authority authenticates requests and decides what callers may do. It is safe for
// concurrent use.
type Authority struct {
	db      *db.Store
	ring    *Keyring
	trusted []netip.Prefix // proxies
	foreign func(*http.Request) (string, error)

	slots   *semaphore.Weighted
	signing atomic.Int64 // sign-ins that are being checked, or wait for that
	secret  []byte       // of this process; key of the HMACs of checked passwords

	mu      sync.Mutex
	current *memory
}

// memory is a cache that is valid until the system feed's log moves.
type memory struct {
	keys      *lru.Cache[string, found[db.Key]]
	users     *lru.Cache[string, found[db.User]]
	passwords *lru.Cache[string, bool] // by keyed hash of user, epoch and password
	grants    func() ([]db.Permission, error)
}

type found[T any] struct {
	value T
	err   error
}

// Options configure an Authority.
type Options struct {
	// TrustedProxies are the load balancers and proxies whose X-Forwarded-For the
	// Authority trusts; nil for none.
	TrustedProxies []netip.Prefix

	// Identify returns the sender of a request, for a program that knows its users by
	// its own sessions or its identity provider. The Authority calls it first. It must
	// not read the body. It returns the user's name, "" to leave the request to the
	// accounts and keys here, or proget.ErrUnauthenticated to refuse it. Such a user
	// has the permissions of everybody who is signed in and those of the account with
	// that name, if any, without that account's password. Tokens issued to such users
	// are valid for ExchangeLength, whatever becomes of the users meanwhile. Optional.
	Identify func(r *http.Request) (user string, err error)
}

// New returns an Authority for the accounts in the database. opts may be nil.
func New(store *db.Store, ring *Keyring, opts *Options) *Authority {
	if opts == nil {
		opts = new(Options)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	a := &Authority{db: store, ring: ring, trusted: opts.TrustedProxies, foreign: opts.Identify, slots: semaphore.NewWeighted(hashing), secret: secret}
	a.forget()
	return a
}

// Applied implements indexing.Subscriber.
func (a *Authority) Applied(feedID int64, _ []proget.Entry) {
	if feedID == proget.SystemFeed {
		a.forget()
	}
}

func (a *Authority) forget() {
	m := new(memory)
	m.keys, _ = lru.New[string, found[db.Key]](kept) // the size is valid
	m.users, _ = lru.New[string, found[db.User]](kept)
	m.passwords, _ = lru.New[string, bool](kept)
	var grants atomic.Pointer[[]db.Permission]
	var reading singleflight.Group // one question, whoever waits for its answer
	m.grants = func() ([]db.Permission, error) {
		if known := grants.Load(); known != nil {
			return *known, nil
		}
		read, err, _ := reading.Do("", func() (any, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			all, err := a.db.ListPermissions(ctx)
			if err == nil {
				grants.Store(&all)
			}
			return all, err
		})
		all, _ := read.([]db.Permission)
		return all, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = m
}

// Warm reads the permissions, which every request needs, into memory. Otherwise
// requests that memory could answer would fail when the database is gone.
func (a *Authority) Warm() error {
	_, err := a.memory().grants()
	return err
}

func (a *Authority) memory() *memory {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

// An Identity is an authenticated caller, limited by the credentials used.
type Identity struct {
	proget.Principal
	epoch   int64     // the account's epoch that the password, cookie or token was checked against
	key     *db.Key   // set if an API key was used
	expires time.Time // set if a token was used
	Session bool      // the caller may have used a cookie, as browsers do, so forms must be guarded
	foreign bool      // identified by Options.Identify
}

// Authenticate returns the sender of a request: without credentials, the anonymous
// principal. It returns proget.ErrUnauthenticated for wrong credentials and for those
// that it cannot parse, because a client that tries to sign in must not mistake the
// answer for anonymous users for its own.
func (a *Authority) Authenticate(r *http.Request) (Identity, error) {
	if a.foreign != nil {
		if name, err := a.foreign(r); name != "" || err != nil {
			return identified(name, err)
		}
	}
	if key := apiKey(r); key != "" {
		return a.byKeyOrPair(r, key)
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return a.byHeader(r, header)
	}
	if c, err := r.Cookie(CookieName); err == nil {
		return a.bySession(r.Context(), c.Value)
	}
	return Identity{}, nil
}

// identified returns the Identity of a user that Options.Identify named, which may have
// used a cookie.
func identified(name string, err error) (Identity, error) {
	if err != nil {
		return Identity{}, err
	}
	if len(name) > longest || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return Identity{}, fmt.Errorf("identify a user: %.60q is not a name of up to %d bytes", name, longest)
	}
	return Identity{Principal: proget.Principal{User: name}, Session: true, foreign: true}, nil
}

// byHeader authenticates by an Authorization header. Scheme names are not
// case-sensitive.
func (a *Authority) byHeader(r *http.Request, header string) (Identity, error) {
	if name, password, ok := r.BasicAuth(); ok {
		return a.byBasic(r, name, password)
	}
	scheme, key, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "Bearer") {
		return a.byKey(r.Context(), strings.TrimSpace(key))
	}
	return Identity{}, errScheme
}

// keyHeaders have the canonical form of net/http, so that no request needs a
// conversion.
var keyHeaders = [...]string{"X-Apikey", "X-Nuget-Apikey"}

// apiKey returns the key from one of the places where ProGet's clients put it.
func apiKey(r *http.Request) string {
	for _, name := range keyHeaders {
		if key := r.Header.Get(name); key != "" {
			return key
		}
	}
	if r.URL.RawQuery == "" {
		return ""
	}
	return r.URL.Query().Get("key")
}

// byKeyOrPair authenticates by an API key or the pseudo-key "user:password".
func (a *Authority) byKeyOrPair(r *http.Request, key string) (Identity, error) {
	if name, password, ok := strings.Cut(key, ":"); ok {
		return a.byBasic(r, name, password)
	}
	return a.byKey(r.Context(), key)
}

func (a *Authority) byBasic(r *http.Request, name, password string) (Identity, error) {
	if name == "api" || name == "__token__" { // the user names that ProGet's and PyPI's clients send with a key
		return a.byKey(r.Context(), password)
	}
	u, err := a.CheckPassword(r, name, password)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Principal: proget.Principal{User: u.Name}, epoch: u.SessionEpoch}, nil
}

// HashKey returns the hash under which an API key is stored. Keys are long and random,
// so a fast hash suffices.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func (a *Authority) byKey(ctx context.Context, text string) (Identity, error) {
	if sealed, ok := strings.CutPrefix(text, TokenPrefix); ok {
		return a.byToken(ctx, sealed)
	}
	return a.byHash(ctx, HashKey(text))
}

func (a *Authority) byHash(ctx context.Context, hash string) (Identity, error) {
	k, err := lookUp(a.memory().keys, hash, func() (db.Key, error) { return a.db.FindKey(ctx, hash) })
	if errors.Is(err, proget.ErrNotFound) || err == nil && !k.Expires.IsZero() && time.Now().After(k.Expires) {
		return Identity{}, errKey
	}
	if err != nil {
		return Identity{}, err
	}
	return Identity{Principal: proget.Principal{Key: k.Name}, key: &k}, nil
}

// lookUp returns the cached value of key, or calls find and caches its result. It also
// caches that something does not exist, but not that the database failed.
func lookUp[T any](cache *lru.Cache[string, found[T]], key string, find func() (T, error)) (T, error) {
	if f, ok := cache.Get(key); ok {
		return f.value, f.err
	}
	value, err := find()
	if err == nil || errors.Is(err, proget.ErrNotFound) {
		cache.Add(key, found[T]{value, err})
	}
	return value, err
}

// longest is the maximum length in bytes of a user name that is looked up and cached.
// No account has a longer one.
const longest = 400

func (a *Authority) user(ctx context.Context, m *memory, name string) (db.User, error) {
	if len(name) > longest {
		return db.User{}, proget.Errorf(proget.ErrNotFound, "There is no user whose name has %d bytes.", len(name))
	}
	return lookUp(m.users, strings.ToLower(name), func() (db.User, error) { return a.db.FindUser(ctx, name) })
}

// ErrCredentials distinguishes wrong credentials from missing ones; both errors are
// proget.ErrUnauthenticated.
var ErrCredentials = errors.New("wrong credentials")

var (
	errSignIn    = proget.WrapError(proget.ErrUnauthenticated, ErrCredentials, "The user name or the password is wrong.")
	errScheme    = proget.WrapError(proget.ErrUnauthenticated, ErrCredentials, "The Authorization header cannot be understood: use Basic with a user name and a password, or Bearer with an API key.")
	errNoSession = proget.Errorf(proget.ErrNotFound, "There is no such session.")

	errKey = proget.WrapError(proget.ErrUnauthenticated, ErrCredentials, "The API key is not valid: check that it is complete and has not expired.")
)

// CheckPassword returns the account if the password is right. It remembers a successful
// check until any account changes, because clients send the password with every request
// and hashing is deliberately costly. It may refuse any other attempt that comes too
// early with a ThrottledError.
func (a *Authority) CheckPassword(r *http.Request, name, password string) (db.User, error) {
	ctx, m := r.Context(), a.memory()
	u, err := a.user(ctx, m, name)
	unknown := errors.Is(err, proget.ErrNotFound)
	if err != nil && !unknown {
		return u, err
	}
	mac := hmac.New(sha256.New, a.secret)
	_ = json.NewEncoder(mac).Encode([]any{u.ID, u.SessionEpoch, password}) // a hash does not fail
	proof := string(mac.Sum(nil))
	if _, ok := m.passwords.Get(proof); ok && !unknown {
		return u, nil
	}
	at := newAttempt(u, unknown, name, ClientAddress(r, a.trusted))
	if err := a.compare(ctx, at, u, password); err != nil {
		return db.User{}, err
	}
	m.passwords.Add(proof, true)
	return u, nil
}

// compare compares a password with the account's. It takes as long if there is no such
// account, so that names cannot be probed. It bounds the concurrent attempts, including
// those that come too early; otherwise many simultaneous attempts would all find that
// none has failed yet.
func (a *Authority) compare(ctx context.Context, at attempt, u db.User, password string) error {
	defer a.signing.Add(-1)
	if a.signing.Add(1) > waiting {
		return proget.Errorf(proget.ErrUnavailable, "Too many people are signing in. Try again shortly.")
	}
	if err := a.slots.Acquire(ctx, 1); err != nil {
		return proget.WrapError(proget.ErrUnavailable, err, "Too many people are signing in. Try again shortly.")
	}
	defer a.slots.Release(1)
	ad, err := a.admit(ctx, at)
	if err != nil {
		return err
	}
	match, err := argon2id.ComparePasswordAndHash(password, cmp.Or(u.PasswordHash, dummyHash))
	if err == nil && match && u.PasswordHash != "" {
		a.succeeded(ctx, ad)
		return nil
	}
	if err := a.failed(ctx, ad); err != nil {
		return err
	}
	return errSignIn
}

// dummyHash is the hash of a random password.
const dummyHash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$b2xkcm9zZXNhcmVyZWR2aW9sZXRzYXJlYmx1ZXN1Z2E"

// HashPassword returns the hash under which a password is stored: Argon2id with 19 MiB
// and two passes, as OWASP's Password Storage Cheat Sheet recommends, so that a sign-in
// takes little more of a server's memory than a push.
func HashPassword(password string) (string, error) {
	return argon2id.CreateHash(password, &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32})
}

// Authorize returns nil if the caller may perform the task in the feed or, if f is nil,
// everywhere. Otherwise it returns proget.ErrUnauthenticated to anonymous callers and
// proget.ErrDenied to others.
func (a *Authority) Authorize(id Identity, task proget.Task, f *proget.Feed) error {
	allowed, err := a.Allows(id, task, f)
	switch {
	case err != nil:
		return err
	case allowed:
		return nil
	case id.Anonymous():
		return proget.Errorf(proget.ErrUnauthenticated, "This needs the permission to %s: sign in, or send an API key that has it.", task)
	case id.key != nil:
		return proget.Errorf(proget.ErrDenied, "The specified API key does not have the proper permissions to perform this action.")
	}
	return proget.Errorf(proget.ErrDenied, "%s does not have the permission to %s here.", id.User, task)
}

// AuthorizeIn is Authorize for a feed. To callers who may not even view the feed, it
// returns the error for viewing, which is also the one for a feed that does not exist.
func (a *Authority) AuthorizeIn(id Identity, task proget.Task, f *proget.Feed) error {
	err := a.Authorize(id, task, f)
	if !errors.Is(err, proget.ErrDenied) && !errors.Is(err, proget.ErrUnauthenticated) {
		return err
	}
	return cmp.Or(a.Authorize(id, proget.TaskView, f), err)
}

// Visible returns the feeds that the caller may see: the active ones that they may
// view; for administrators, all of them.
func (a *Authority) Visible(id Identity, feeds []*proget.Feed) ([]*proget.Feed, error) {
	administers, err := a.Allows(id, proget.TaskAdminister, nil)
	if err != nil {
		return nil, err
	}
	var seen []*proget.Feed
	for _, f := range feeds {
		views, err := a.Allows(id, proget.TaskView, f)
		if err != nil {
			return nil, err
		}
		if administers || f.Active && views {
			seen = append(seen, f)
		}
	}
	return seen, nil
}

// Disclose returns the error that the caller may see when a feed was not found. Only
// callers who may view all feeds learn that there is none of that name.
func (a *Authority) Disclose(id Identity, err error) error {
	if !errors.Is(err, proget.ErrNotFound) {
		return err
	}
	return cmp.Or(a.Authorize(id, proget.TaskView, nil), err)
}

// Allows reports whether the caller may perform the task in the feed or, if f is nil,
// everywhere.
func (a *Authority) Allows(id Identity, task proget.Task, f *proget.Feed) (bool, error) {
	if task == proget.TaskNone {
		return true, nil
	}
	if id.key != nil && covers(id.key.FeedID, id.key.Task, task, f) {
		return true, nil
	}
	grants, err := a.memory().grants()
	if err != nil {
		return false, err
	}
	for _, g := range grants {
		if id.is(g.Subject) && covers(g.FeedID, g.Task, task, f) {
			return true, nil
		}
	}
	return false, nil
}

// covers reports whether a grant of a task includes another task in f. feedID is the
// grant's feed, 0 for everywhere.
func covers(feedID int64, granted, wanted proget.Task, f *proget.Feed) bool {
	if feedID != 0 && (f == nil || f.ID != feedID) {
		return false
	}
	return wanted.Rank() > 0 && granted.Rank() >= wanted.Rank()
}

// The subjects of permissions.
const (
	SubjectAnonymous     = "anonymous" // everybody, whether signed in or not
	SubjectAuthenticated = "authenticated"
)

const userPrefix = "user:"

// SubjectUser returns the subject of a user.
func SubjectUser(name string) string { return userPrefix + strings.ToLower(name) }

// SubjectsUser returns the user that a subject stands for, in lower case. ok is false
// if the subject is not a user.
func SubjectsUser(subject string) (name string, ok bool) {
	return strings.CutPrefix(subject, userPrefix)
}

func (id Identity) is(subject string) bool {
	switch subject {
	case SubjectAnonymous:
		return true
	case SubjectAuthenticated:
		return !id.Anonymous()
	}
	return id.User != "" && subject == SubjectUser(id.User)
}
