package auth_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
)

func TestKeyring(t *testing.T) {
	t.Parallel()
	parse := func(text string) *auth.Keyring {
		k, err := auth.ParseKeyring(text)
		require.NoError(t, err)
		return k
	}
	first, second := auth.NewEncryptionKey(), auth.NewEncryptionKey()
	old, both, replaced := parse(first), parse(second+", "+first), parse(second)
	sealed := old.Seal("session", []byte("text"))
	plain, err := both.Open("session", sealed)
	require.NoError(t, err, "a key that was added before signs nobody out")
	require.Equal(t, "text", string(plain))
	_, err = both.Open("another purpose", sealed)
	require.ErrorIs(t, err, auth.ErrSealed)
	_, err = replaced.Open("session", sealed)
	require.ErrorIs(t, err, auth.ErrSealed)
	_, err = old.Open("session", sealed[:len(sealed)-2])
	require.ErrorIs(t, err, auth.ErrSealed)
	require.Equal(t, replaced.Fingerprints()[0], both.Fingerprints()[0])
	require.Equal(t, both.Fingerprints(), parse(second+"\r\n\t"+first+"\r\n").Fingerprints(), "as a file has them")
	for _, wrong := range []string{"", " ", "xyz", first[:30], first + "00"} {
		_, err := auth.ParseKeyring(wrong)
		require.ErrorIs(t, err, proget.ErrInvalid, wrong)
	}
}

// newAuthority returns one over a database without accounts.
func newAuthority(t *testing.T, opts *auth.Options) *auth.Authority {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	keys, err := auth.ParseKeyring(auth.NewEncryptionKey())
	require.NoError(t, err)
	return auth.New(store, keys, opts)
}

// TestExchange: a token that was given for a token ends with it.
func TestExchange(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	before := auth.ExchangeLength + time.Second
	for range 3 {
		token, good, err := a.Exchange(r)
		require.NoError(t, err)
		require.Less(t, good, before)
		before = good
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.SetBasicAuth(strings.Repeat("a", 50_000), "password")
	_, err := a.Authenticate(r)
	require.ErrorIs(t, err, proget.ErrUnauthenticated)
}

// TestExchangeMeanwhile: if a password is changed, or its account deleted, while it is
// being checked, the token for it is void.
func TestExchangeMeanwhile(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(tx *db.Tx) (bool, error){
		"password": func(tx *db.Tx) (bool, error) { return tx.SetPassword(t.Context(), "Ann", "hash of another") },
		"account":  func(tx *db.Tx) (bool, error) { return tx.DeleteUser(t.Context(), "Ann") },
	} {
		s := newSignIns(t)
		a, changed := s.nodes[0], false
		traces := testenv.OnSpan(func(span string) {
			if changed || span != "query FindSignIn" {
				return
			}
			changed = true
			require.NoError(t, s.store.Tx(t.Context(), func(tx *db.Tx) error {
				_, err := change(tx)
				return err
			}))
			s.forget()
		})
		ctx, end := traces.Tracer("test").Start(t.Context(), name)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.SetBasicAuth("ann", "right")
		token, _, err := a.Exchange(r)
		end.End()
		require.NoError(t, err, name)
		require.True(t, changed, name)
		r = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err = a.Authenticate(r)
		require.ErrorIs(t, err, auth.ErrCredentials, name)
	}
}

// TestIdentify: a token that was given to another program's user is good without that
// program, on every node, and no longer than ExchangeLength.
func TestIdentify(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, &auth.Options{Identify: func(r *http.Request) (string, error) { return r.Header.Get("X-User"), nil }})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("X-User", "bob")
	token, good, err := a.Exchange(r)
	require.NoError(t, err)
	require.LessOrEqual(t, good, auth.ExchangeLength)
	r.Header.Del("X-User")
	r.Header.Set("Authorization", "Bearer "+token)
	id, err := a.Authenticate(r)
	require.NoError(t, err)
	require.Equal(t, proget.Principal{User: "bob"}, id.Principal)
	require.False(t, id.Session, "nobody but its holder sends a token")
	_, again, err := a.Exchange(r)
	require.NoError(t, err)
	require.Less(t, again, good+time.Second)
	allowed, err := a.Allows(id, proget.TaskView, nil)
	require.NoError(t, err)
	require.False(t, allowed)
}

// TestWhoMayWhat is the table of callers and tasks.
func TestWhoMayWhat(t *testing.T) {
	t.Parallel()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	hash, err := auth.HashPassword("password")
	require.NoError(t, err)
	mine, other := &proget.Feed{Name: "mine", Type: "t", Active: true}, &proget.Feed{Name: "other", Type: "t", Active: true}
	require.NoError(t, store.Tx(t.Context(), func(tx *db.Tx) error {
		for _, f := range []*proget.Feed{mine, other} {
			require.NoError(t, tx.CreateFeed(t.Context(), f))
		}
		require.NoError(t, tx.CreateUser(t.Context(), "Ann", hash))
		require.NoError(t, tx.Grant(t.Context(), db.Permission{Subject: auth.SubjectAnonymous, FeedID: mine.ID, Task: proget.TaskView}))
		require.NoError(t, tx.Grant(t.Context(), db.Permission{Subject: auth.SubjectUser("Ann"), Task: proget.TaskAdminister}))
		return tx.CreateKey(t.Context(), db.Key{Name: "ci", Hash: auth.HashKey("secret-key"), FeedID: mine.ID, Task: proget.TaskPublish})
	}))
	keys, err := auth.ParseKeyring(auth.NewEncryptionKey())
	require.NoError(t, err)
	authority := auth.New(store, keys, nil)

	for name, c := range map[string]struct {
		prepare func(r *http.Request)
		allowed map[*proget.Feed]proget.Task // the greatest task allowed
	}{
		"nobody":        {func(*http.Request) {}, map[*proget.Feed]proget.Task{mine: proget.TaskView}},
		"key":           {func(r *http.Request) { r.Header.Set("X-ApiKey", "secret-key") }, map[*proget.Feed]proget.Task{mine: proget.TaskPublish}},
		"nuget key":     {func(r *http.Request) { r.Header.Set("X-NuGet-ApiKey", "secret-key") }, map[*proget.Feed]proget.Task{mine: proget.TaskPublish}},
		"api:key":       {func(r *http.Request) { r.SetBasicAuth("api", "secret-key") }, map[*proget.Feed]proget.Task{mine: proget.TaskPublish}},
		"__token__:key": {func(r *http.Request) { r.SetBasicAuth("__token__", "secret-key") }, map[*proget.Feed]proget.Task{mine: proget.TaskPublish}},
		"bearer":        {func(r *http.Request) { r.Header.Set("Authorization", "Bearer secret-key") }, map[*proget.Feed]proget.Task{mine: proget.TaskPublish}},
		"Bearer's case": {func(r *http.Request) { r.Header.Set("Authorization", "bearer secret-key") }, map[*proget.Feed]proget.Task{mine: proget.TaskPublish}},
		"key before header": {func(r *http.Request) {
			r.Header.Set("X-ApiKey", "secret-key")
			r.Header.Set("Authorization", "Negotiate abc")
		}, map[*proget.Feed]proget.Task{mine: proget.TaskPublish}},
		"password": {func(r *http.Request) { r.SetBasicAuth("ann", "password") }, map[*proget.Feed]proget.Task{mine: proget.TaskAdminister, other: proget.TaskAdminister, nil: proget.TaskAdminister}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		c.prepare(r)
		id, err := authority.Authenticate(r)
		require.NoError(t, err, name)
		for _, f := range []*proget.Feed{mine, other, nil} {
			for _, task := range []proget.Task{proget.TaskView, proget.TaskPublish, proget.TaskManage, proget.TaskAdminister} {
				may := c.allowed[f].Rank() >= task.Rank()
				require.Equal(t, may, authority.Authorize(id, task, f) == nil, "%s, %s", name, task)
				allows, err := authority.Allows(id, task, f)
				require.NoError(t, err)
				require.Equal(t, may, allows, "%s, %s", name, task)
			}
		}
		told := authority.Disclose(id, proget.Errorf(proget.ErrNotFound, "There is no such feed."))
		require.Error(t, told, name)
		require.Equal(t, c.allowed[nil].Rank() >= proget.TaskView.Rank(), errors.Is(told, proget.ErrNotFound), name)
		require.NoError(t, authority.Disclose(id, nil))
		require.ErrorIs(t, authority.Disclose(id, io.ErrUnexpectedEOF), io.ErrUnexpectedEOF, "a feed that could not be looked up may exist")
	}
	for _, prepare := range []func(r *http.Request){
		func(r *http.Request) { r.Header.Set("X-ApiKey", "wrong") },
		func(r *http.Request) { r.SetBasicAuth("ann", "wrong") },
		func(r *http.Request) { r.SetBasicAuth("nobody", "password") },
		func(r *http.Request) { r.Header.Set("Authorization", "token xyz") },
		func(r *http.Request) { r.Header.Set("Authorization", "secret-key") },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer") },
		func(r *http.Request) { r.Header.Set("Authorization", "Basic") },
		func(r *http.Request) { r.Header.Set("Authorization", "Basic !") },
		func(r *http.Request) { r.Header.Set("Authorization", "Basic bm9jb2xvbg==") },
	} {
		r := httptest.NewRequest("GET", "/", nil)
		prepare(r)
		_, err := authority.Authenticate(r)
		require.ErrorIs(t, err, proget.ErrUnauthenticated)
	}

	cookie, err := authority.SignIn(httptest.NewRequest("POST", "/sign-in", nil), "ANN", "password", true)
	require.NoError(t, err)
	require.True(t, cookie.HttpOnly && cookie.Secure)
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(cookie)
	id, err := auth.New(store, keys, nil).Authenticate(r) // another node
	require.NoError(t, err)
	require.Equal(t, "Ann", id.User)
	require.NoError(t, store.Tx(t.Context(), func(tx *db.Tx) error {
		_, err := tx.SetPassword(t.Context(), "ann", hash)
		return err
	}))
	authority.Applied(proget.SystemFeed, nil)
	id, err = authority.Authenticate(r)
	require.NoError(t, err)
	require.True(t, id.Anonymous(), "a new password ends the sessions")
}
