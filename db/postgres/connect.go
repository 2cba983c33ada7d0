package postgres

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/proget-go/ha/db/driver"
)

// A server describes what connections lead to.
type server struct {
	direct  bool // not through a pooler
	version string
}

// look finds out what connections lead to: a pooler reports another session number than
// the server does. If the server does not know the question, look safely assumes a
// pooler.
func look(ctx context.Context, config *pgx.ConnConfig) (server, error) {
	conn, err := pgconn.ConnectConfig(ctx, &config.Config) // config limits the time for each host
	if err != nil {
		return server{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was changed
	patient, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	row, err := ask(patient, conn, "SELECT pg_backend_pid(), version()")
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && classifyCode(e.Code) == driver.Other {
		return server{}, nil
	}
	if err != nil && patient.Err() != nil {
		err = fmt.Errorf("%w: %w", sqldriver.ErrBadConn, err) // the server stalls
	}
	if err != nil {
		return server{}, err
	}
	return server{row[0] == strconv.FormatUint(uint64(conn.PID()), 10), row[1]}, nil
}

// A history remembers the newest timeline that was seen of a cluster.
//
// Each promotion of a standby begins a new timeline. A former primary that was frozen
// while another server was promoted still considers itself the primary when it
// continues: for some moments it accepts connections, and data read from it is old. Its
// timeline reveals this. (PostgreSQL documentation, section 26.3.6, "Timelines".)
type history struct {
	mu     sync.Mutex
	system string // identifies the cluster; a restored dump has another
	newest int64
}

// guard makes connections to a standby or a former primary fail, so that the client
// tries the next host. A server becomes a standby only by a restart, which ends its
// connections.
func (h *history) guard(config *pgconn.Config) {
	validate := config.ValidateConnect
	config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if validate != nil {
			if err := validate(ctx, conn); err != nil {
				return err
			}
		}
		return h.check(ctx, conn)
	}
}

func (h *history) check(ctx context.Context, conn *pgconn.PgConn) error {
	row, err := ask(ctx, conn, "SELECT system_identifier, pg_walfile_name(pg_current_wal_lsn()) FROM pg_control_system()")
	if errors.As(err, new(*pgconn.PgError)) {
		return refuseStandby(ctx, conn) // or it is a database derived from PostgreSQL that lacks these functions
	}
	if err != nil {
		return err
	}
	timeline, err := strconv.ParseInt(row[1][:min(8, len(row[1]))], 16, 64)
	if err != nil {
		return nil // its log's files have other names
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if row[0] == h.system && timeline < h.newest {
		return fmt.Errorf("the database server is a former primary: it is on timeline %d, but timeline %d has begun", timeline, h.newest)
	}
	h.system, h.newest = row[0], timeline
	return nil
}

// errStandby may be temporary: the standby may be promoted, or the next connection may
// lead to the primary.
var errStandby = errors.New("the database server is a standby, whose data may be out of date: give the primary's address, or the addresses of all database servers")

// refuseStandby returns errStandby if the server says that it is one.
func refuseStandby(ctx context.Context, conn *pgconn.PgConn) error {
	row, err := ask(ctx, conn, "SELECT pg_is_in_recovery()")
	switch {
	case errors.As(err, new(*pgconn.PgError)):
		return nil
	case err == nil && row[0] == "t":
		return errStandby
	}
	return err
}

// ask returns the columns of a query's only row.
func ask(ctx context.Context, conn *pgconn.PgConn, query string) ([]string, error) {
	result := conn.ExecParams(ctx, query, nil, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	if len(result.Rows) != 1 {
		return nil, fmt.Errorf("%d rows instead of one", len(result.Rows))
	}
	var columns []string
	for _, c := range result.Rows[0] {
		columns = append(columns, string(c))
	}
	return columns, nil
}
