package auth_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
)

// signIns are two nodes with the users ann and bob.
type signIns struct {
	t     *testing.T
	nodes [2]*auth.Authority
	store *db.Store
	state *sql.DB
	next  int
}

func newSignIns(t *testing.T) *signIns {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	store, err := sqlite.Open(t.Context(), path, nil)
	require.NoError(t, err)
	keys, err := auth.ParseKeyring(auth.NewEncryptionKey())
	require.NoError(t, err)
	cheap := &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16}
	hash, err := argon2id.CreateHash("right", cheap)
	require.NoError(t, err)
	require.NoError(t, store.Tx(t.Context(), func(tx *db.Tx) error {
		require.NoError(t, tx.CreateKey(t.Context(), db.Key{Name: "ci", Hash: auth.HashKey("a-key"), Task: proget.TaskView}))
		require.NoError(t, tx.CreateUser(t.Context(), "Bob", hash))
		return tx.CreateUser(t.Context(), "Ann", hash)
	}))
	s := &signIns{t: t, store: store}
	for i := range s.nodes {
		s.nodes[i] = auth.New(store, keys, nil)
	}
	s.state, err = sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = s.state.Close()
		_ = store.Close()
	})
	return s
}

// try signs in from an address, through one node after the other.
func (s *signIns) try(name, password, from string) error {
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = from + ":40000"
	r.SetBasicAuth(name, password)
	s.next++
	_, err := s.nodes[s.next%2].Authenticate(r)
	return err
}

func (s *signIns) fail(times int, name, from string) {
	s.t.Helper()
	for range times {
		require.ErrorIs(s.t, s.try(name, "wrong", from), auth.ErrCredentials)
	}
}

func (s *signIns) throttled(name, password, from string) {
	s.t.Helper()
	err := s.try(name, password, from)
	require.ErrorIs(s.t, err, proget.ErrThrottled)
	require.NotErrorIs(s.t, err, proget.ErrUnauthenticated)
	require.GreaterOrEqual(s.t, auth.RetryAfter(err), 1)
	require.LessOrEqual(s.t, auth.RetryAfter(err), 60)
}

// later lets time pass for what the database remembers.
func (s *signIns) later(d time.Duration) {
	s.t.Helper()
	_, err := s.state.ExecContext(s.t.Context(), "UPDATE sign_in SET changed = changed - ?1, expires = expires - ?1", d.Microseconds())
	require.NoError(s.t, err)
}

// forget has the nodes forget which passwords were right a moment ago.
func (s *signIns) forget() {
	for _, a := range s.nodes {
		a.Applied(proget.SystemFeed, nil)
	}
}

const (
	home, office, elsewhere = "192.0.2.1", "192.0.2.2", "203.0.113."
)

// TestGuessing: whoever guesses is slowed down on all nodes, and nobody learns
// whether the account exists.
func TestGuessing(t *testing.T) {
	t.Parallel()
	s := newSignIns(t)
	for _, name := range []string{"ann", "nobody"} {
		s.fail(5, name, home)
		s.throttled(name, "right", home)
		s.throttled(name, "right", office)
		s.throttled(name, "wrong", office)
		s.later(time.Second) // as long as the first delay
		s.fail(1, name, office)
		s.throttled(name, "right", office)
		s.later(time.Second)
		s.throttled(name, "right", office) // twice as long now
		s.later(time.Second)
	}
	require.NoError(t, s.try("ann", "right", home))
	require.NoError(t, s.try("bob", "right", home), "another account")
}

// TestOwnerIsNotKeptOut: where an account has signed in from before, it matters
// only what failed there; elsewhere nobody waits longer than a minute.
func TestOwnerIsNotKeptOut(t *testing.T) {
	t.Parallel()
	s := newSignIns(t)
	require.NoError(t, s.try("ann", "right", home))
	for n := range 30 {
		s.fail(1, "ann", fmt.Sprint(elsewhere, n))
		s.later(time.Minute)
	}
	s.fail(1, "ann", elsewhere+"99")
	s.forget()
	s.throttled("ann", "right", office)
	require.NoError(t, s.try("ann", "right", home))
	s.later(time.Minute)
	require.NoError(t, s.try("ann", "right", office))

	s.forget()
	s.fail(5, "ann", home) // somebody else sits there
	s.throttled("ann", "right", home)
	require.NoError(t, s.try("ann", "right", office))
	s.later(2 * time.Hour)
	s.forget()
	require.NoError(t, s.try("ann", "right", elsewhere+"100"), "what failed is forgotten")
}

// TestManyNames: a client that tries many names is slowed down, and no other.
func TestManyNames(t *testing.T) {
	t.Parallel()
	s := newSignIns(t)
	for n := range 20 {
		s.fail(1, fmt.Sprint("name", n), home)
	}
	s.throttled("ann", "right", home)
	s.throttled("yet another", "wrong", home)
	require.NoError(t, s.try("ann", "right", office))
	require.NoError(t, s.try("api", "a-key", home), "keys are not guessed")
	var rows int
	require.NoError(t, s.state.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sign_in").Scan(&rows))
	require.LessOrEqual(t, rows, 22)
}

// TestPasswordInUse: a password that was right a moment ago is not asked about.
func TestPasswordInUse(t *testing.T) {
	t.Parallel()
	s := newSignIns(t)
	require.NoError(t, s.try("ann", "right", home))
	require.NoError(t, s.try("ann", "right", home))
	s.fail(5, "ann", home)
	for range 4 {
		require.NoError(t, s.try("ann", "right", home))
		require.NoError(t, s.try("ann", "right", office))
	}
	s.throttled("ann", "wrong", home)
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "198.51.100.7", "192.0.2.1"}, // says so itself
		{"10.1.1.1:1", "", "10.1.1.1"},
		{"10.1.1.1:1", "198.51.100.7", "198.51.100.7"},
		{"10.1.1.1:1", "1.1.1.1, 198.51.100.7", "198.51.100.7"}, // the client says that it is 1.1.1.1
		{"10.1.1.1:1", "1.1.1.1, 198.51.100.7, 10.2.2.2", "198.51.100.7"},
		{"10.1.1.1:1", "198.51.100.7:4711", "198.51.100.7"},
		{"10.1.1.1:1", "junk", "10.1.1.1"},
		{"10.1.1.1:1", "junk, 10.2.2.2", "10.2.2.2"},
		{"[::ffff:10.1.1.1]:1", "::ffff:198.51.100.7", "198.51.100.7"},
		{"[fd00::1]:1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"[2001:db8::7%eth0]:1", "", "2001:db8::"},
		{"", "", "invalid IP"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		require.Equal(t, c.want, auth.ClientAddress(r, trusted).String(), "%+v", c)
	}
}
