package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/dbtest"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

func TestConformance(t *testing.T) {
	server := testenv.StartPostgres(t)
	dbtest.Run(t, func(t *testing.T) dbtest.Open {
		url := server.NewDatabase(t)
		return func(t *testing.T) *db.Store {
			s, err := postgres.Open(t.Context(), url, nil)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		}
	})
}

func TestUnreadableURL(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), "postgres://host:notaport/db", nil)
	require.ErrorIs(t, err, proget.ErrInvalid)
}
