package dblease_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/dblease"
	"github.com/proget-go/ha/election/electiontest"
	"github.com/proget-go/ha/internal/testenv"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	electiontest.Run(t, func(t *testing.T) func(*testing.T) election.Driver {
		path := filepath.Join(t.TempDir(), "test.db")
		return func(t *testing.T) election.Driver {
			s, err := sqlite.Open(t.Context(), path, nil)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return dblease.New(s)
		}
	})
}

// TestHung: while the database does not answer, calls end with their time.
func TestHung(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	proxy := testenv.StartProxy(t, server.Host())
	s, err := postgres.Open(t.Context(), strings.Replace(server.NewDatabase(t), server.Host(), proxy.Address(), 1), nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		proxy.Heal()
		require.NoError(t, s.Close())
	})
	electiontest.Hung(t, dblease.New(s), proxy.Cut)
}

func TestPostgres(t *testing.T) {
	server := testenv.StartPostgres(t)
	electiontest.Run(t, func(t *testing.T) func(*testing.T) election.Driver {
		url := server.NewDatabase(t)
		return func(t *testing.T) election.Driver {
			s, err := postgres.Open(t.Context(), url, nil)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return dblease.New(s)
		}
	})
}
