package postgres

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/driver"
)

// TestErrorClasses goes through the classes of PostgreSQL's errors, appendix A of
// its documentation.
func TestErrorClasses(t *testing.T) {
	t.Parallel()
	codes := func(all ...string) (errs []error) {
		for _, code := range all {
			errs = append(errs, fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code}))
		}
		return errs
	}
	for kind, errs := range map[driver.Kind][]error{
		driver.Unique:     codes("23505"),
		driver.ForeignKey: codes("23503"),
		driver.Retry: codes("40001", "40P01", // serialization, deadlock
			"55P03", "57014"), // lock timeout, statement timeout of the server's own
		driver.Unavailable: append(codes(
			"08000", "08001", "08003", "08004", "08006", "08007", "08P01", // the connection, or what a pooler says of its own
			"25006",                            // read-only: a replica
			"53000", "53200", "53300", "53400", // no resources, out of memory, too many connections
			"57P01", "57P02", "57P03", "57P05"), // shutting down, crashed, starting up, idle too long
			&pgconn.ConnectError{}, errStandby, sqldriver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
			&net.OpError{Op: "read", Err: errors.New("reset")}),
		driver.Full:   codes("53100"),
		driver.Denied: codes("42501"),
		driver.Other: append(codes("22001", "23502", "23514", "28P01", "3D000", "42601", "42P01", "XX000"),
			context.DeadlineExceeded, errors.New("something else")),
	} {
		for _, err := range errs {
			require.Equal(t, kind, engine{}.Classify(err), "%v", err)
		}
	}
}
