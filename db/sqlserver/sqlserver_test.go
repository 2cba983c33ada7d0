package sqlserver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/sqlc-dev/teesql/parser"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/dbtest"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

// TestConformance runs the whole contract on the server that
// PROGET_TEST_SQLSERVER names, each case in a database of its own.
func TestConformance(t *testing.T) {
	dsn := os.Getenv("PROGET_TEST_SQLSERVER")
	if dsn == "" {
		t.Skip("set PROGET_TEST_SQLSERVER to the sqlserver:// URL of a server where databases may be created")
	}
	base, err := sql.Open("sqlserver", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = base.Close() })
	dbtest.Run(t, func(t *testing.T) dbtest.Open {
		name := fmt.Sprintf("proget_test_%d", time.Now().UnixNano())
		for _, statement := range []string{"CREATE DATABASE " + name, "ALTER DATABASE " + name + " SET READ_COMMITTED_SNAPSHOT ON"} {
			_, err := base.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		t.Cleanup(func() { _, _ = base.ExecContext(context.Background(), "DROP DATABASE "+name) })
		separator := "?"
		if strings.Contains(dsn, "?") {
			separator = "&"
		}
		return func(t *testing.T) *db.Store {
			s, err := Open(t.Context(), dsn+separator+"database="+name, nil)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		}
	})
}

// statements returns all SQL that this engine is sent, by name.
func statements(t *testing.T) map[string]string {
	t.Helper()
	all, err := db.SharedQueries()
	require.NoError(t, err)
	own, err := db.ParseQueries(files, "queries")
	require.NoError(t, err)
	maps.Copy(all, own)
	for name, text := range all {
		all[name] = db.ReplaceParameters(text, func(param string) string {
			if param == "now" {
				return engine{}.Now()
			}
			return "@" + param
		})
	}
	migrations, err := fs.Glob(files, "migrations/*.sql")
	require.NoError(t, err)
	for _, name := range migrations {
		text, err := files.ReadFile(name)
		require.NoError(t, err)
		all[name] = string(text)
	}
	all["session"], all["isolation"] = session, isolation
	return all
}

// TestBabelfish: no statement uses what Babelfish for PostgreSQL lacks or does
// otherwise.
func TestBabelfish(t *testing.T) {
	t.Parallel()
	lacking := regexp.MustCompile(`(?im)\bMERGE\b|\bCREATE\s+OR\s+ALTER\b|\bALTER\s+COLUMN\b|^\s+INDEX\b|\bDROP\s+CONSTRAINT\b|` +
		`\bWAITFOR\b|\bALTER\s+DATABASE\b|_UTF8\b|^\s*WITH\b[^;]*\b(UPDATE|DELETE|INSERT)\b`)
	for name, text := range statements(t) {
		require.Empty(t, lacking.FindString(text), "%s:\n%s", name, text)
	}
	require.NotEmpty(t, lacking.FindString("CREATE TABLE t (\n  a INT,\n  INDEX i (a))"))
	require.NotEmpty(t, lacking.FindString("WITH c AS (SELECT 1 AS a) UPDATE c SET a = 2"))
}

// TestSyntax reads every statement with a T-SQL grammar.
func TestSyntax(t *testing.T) {
	t.Parallel()
	for name, text := range statements(t) {
		_, err := parser.Parse(t.Context(), strings.NewReader(text))
		require.NoError(t, err, "%s:\n%s", name, text)
	}
	_, err := parser.Parse(t.Context(), strings.NewReader("SELECT TOP (1 FROM t WHERE ("))
	require.Error(t, err, "the grammar refuses what is no T-SQL")
}

// TestMigrationLock: whoever does not get the lock is told so, by an error after which
// it is tried again.
func TestMigrationLock(t *testing.T) {
	t.Parallel()
	text := statements(t)["LockMigrations"]
	refusal := regexp.MustCompile(`EXEC (@\w+) = sp_getapplock [^;]*;\s*IF (@\w+) < 0\s+THROW (\d+),`).FindStringSubmatch(text)
	require.NotNil(t, refusal, text)
	require.Equal(t, refusal[1], refusal[2])
	number, err := strconv.ParseInt(refusal[3], 10, 32)
	require.NoError(t, err)
	require.Equal(t, driver.Retry, engine{}.Classify(mssql.Error{Number: int32(number)}))
}

func TestErrorClasses(t *testing.T) {
	t.Parallel()
	number := func(n int32) error { return fmt.Errorf("wrapped: %w", mssql.Error{Number: n}) }
	numbers := func(all ...int32) (errs []error) {
		for _, n := range all {
			errs = append(errs, number(n))
		}
		return errs
	}
	for kind, errs := range map[driver.Kind][]error{
		driver.Unique:     {number(2601), number(2627)},
		driver.ForeignKey: {number(547)},
		driver.Retry:      {number(1205), number(1222), number(3960)},
		driver.Unavailable: append(numbers(64, 233, 976, 978, 983, 988, 3906, 4060, 6005, 10053, 10054, 10060, 10928, 10929,
			18401, 40197, 40501, 40613, 49918, 49919, 49920),
			mssql.Error{Number: 18456, State: 38},
			mssql.Error{Number: 18456, State: 1, All: []mssql.Error{{Number: 4060}, {Number: 18456, State: 1}}}, // as a login tells it
			io.EOF, &net.OpError{Op: "read", Err: errors.New("reset")}, mssql.StreamError{}, sqldriver.ErrBadConn,
			&net.OpError{Op: "login", Net: "tcp", Err: context.DeadlineExceeded}),
		driver.Full: {number(1105), number(9002)},
		driver.Other: {number(102), mssql.Error{Number: 18456, State: 8}, errors.New("something else"),
			fmt.Errorf("wrapped: %w", context.DeadlineExceeded)}, // the caller's time, not the connection, has ended
	} {
		for _, err := range errs {
			require.Equal(t, kind, engine{}.Classify(err), "%v", err)
		}
	}
}

func TestConnectionStrings(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"Server=tcp:host", "sqlserver://user:secret@host", "sqlserver://%zz"} {
		_, err := Open(t.Context(), dsn, nil)
		require.ErrorIs(t, err, proget.ErrInvalid, dsn)
		require.NotContains(t, proget.Message(err), "secret")
	}
}
