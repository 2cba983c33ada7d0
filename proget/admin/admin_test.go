package admin_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
	"github.com/proget-go/ha/proget/auth"
)

// TestCheckPassword: characters are counted, as people count them.
func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for password, ok := range map[string]bool{
		"seven77": false, "eight888": true, "éèàçùûî": false, "éèàçùûîô": true,
		strings.Repeat("😀", 200): true, strings.Repeat("é", 201): false, strings.Repeat("\xff", 201): false,
	} {
		require.Equal(t, ok, admin.CheckPassword(password) == nil, password)
	}
}

// TestCheckKey: what is taken for a token is no key.
func TestCheckKey(t *testing.T) {
	t.Parallel()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	require.NoError(t, err)
	defer store.Close()
	ring, err := auth.ParseKeyring(auth.NewEncryptionKey())
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	require.NoError(t, err)
	token, _, err := auth.New(store, ring, nil).Exchange(r)
	require.NoError(t, err)
	require.ErrorIs(t, admin.CheckKey(token[:20]), proget.ErrInvalid)
	require.NoError(t, admin.CheckKey(token[1:21]))
}

// TestDistantExpiry: a key that would expire when no date can be written is refused.
func TestDistantExpiry(t *testing.T) {
	t.Parallel()
	west := time.FixedZone("", -3600)
	for _, expires := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9998, 12, 31, 23, 30, 0, 0, west)} {
		_, _, err := new(admin.Administrator).CreateKey(t.Context(), admin.NewAPIKey{Name: "k", Task: proget.TaskView, Expires: expires}, proget.Principal{})
		require.ErrorIs(t, err, proget.ErrInvalid)
	}
}
