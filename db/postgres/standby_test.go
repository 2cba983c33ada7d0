package postgres_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/netfault"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

// A switched is a primary with a standby, and a balancer before them.
type switched struct {
	primary, standby *testenv.Postgres
	balancer         *netfault.Proxy
	url              string // of a database, at the primary
}

func newSwitched(t *testing.T) *switched {
	t.Helper()
	primary := testenv.StartPostgres(t)
	in := &switched{primary: primary, url: primary.NewDatabase(t), balancer: testenv.StartProxy(t, primary.Host())}
	in.standby = primary.StartStandby(t)
	return in
}

func openStore(t *testing.T, url string, opts *db.Options) *db.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// balanced is the database's URL through the balancer.
func (in *switched) balanced() string {
	return strings.Replace(in.url, in.primary.Host(), in.balancer.Address(), 1)
}

// toStandby has the balancer lead to the standby.
func (in *switched) toStandby() {
	in.balancer.Point(in.standby.Host())
	in.balancer.Break()
}

func set(t *testing.T, s *db.Store, value string) {
	t.Helper()
	require.NoError(t, s.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.SetSetting(t.Context(), "key", value) }))
}

func setting(t *testing.T, s *db.Store) string {
	t.Helper()
	all, err := s.Settings(t.Context())
	require.NoError(t, err)
	return all["key"]
}

// TestStandby: where a balancer leads to a standby, nothing is read that may be old;
// once it is promoted, it is a server like any other.
func TestStandby(t *testing.T) {
	t.Parallel()
	in := newSwitched(t)
	node := openStore(t, in.balanced(), &db.Options{Patience: time.Second})
	set(t, node, "before")
	in.awaitReplica(t, "before")
	in.toStandby()
	_, err := node.Heads(t.Context())
	require.ErrorIs(t, err, proget.ErrUnavailable)
	_, err = node.Settings(t.Context())
	require.ErrorIs(t, err, proget.ErrUnavailable)
	_, err = postgres.Open(t.Context(), in.balanced(), &db.Options{Patience: time.Second})
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.ErrorContains(t, err, "standby")

	in.primary.Stop(t)
	in.standby.Promote(t)
	_, err = node.Heads(t.Context())
	require.NoError(t, err)
	require.Equal(t, "before", setting(t, node))
	set(t, node, "after")
	require.Equal(t, "after", setting(t, node))
}

// TestStandbyBehindPooler: a pooler keeps its clients' connections when its own begin to
// end at a standby; what is new is not asked there.
func TestStandbyBehindPooler(t *testing.T) {
	t.Parallel()
	in := newSwitched(t)
	through := in.primary.StartPgBouncerTo(t, in.balancer.Address())
	node := openStore(t, through(in.url), nil)
	set(t, node, "before")
	_, err := node.Heads(t.Context())
	require.NoError(t, err)
	in.awaitReplica(t, "before")
	in.toStandby()
	_, err = node.Heads(t.Context())
	require.ErrorIs(t, err, proget.ErrUnavailable)

	in.primary.Stop(t)
	in.standby.Promote(t)
	_, err = node.Heads(t.Context())
	require.NoError(t, err)
	set(t, node, "after")
}

// awaitReplica waits until the standby has a value.
func (in *switched) awaitReplica(t *testing.T, want string) {
	t.Helper()
	there, err := sql.Open("pgx", strings.Replace(in.url, in.primary.Host(), in.standby.Host(), 1))
	require.NoError(t, err)
	defer there.Close()
	require.Eventually(t, func() bool {
		var value string
		err := there.QueryRowContext(t.Context(), "SELECT value FROM setting WHERE name = 'key'").Scan(&value)
		return err == nil && value == want
	}, 30*time.Second, 20*time.Millisecond)
}
