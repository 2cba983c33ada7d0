package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// original is the version of a server that is PostgreSQL itself, on one machine: in
// relatives that are distributed, a snapshot may tell of one of their servers alone.
var original = regexp.MustCompile(`^PostgreSQL [0-9.]+[a-z0-9]* (\(|on )`)

// snapshot implements driver.Pools.Snapshot. PostgreSQL's snapshot is the list of the
// transactions whose effects a query does not see, so two that are equal see the
// same. (PostgreSQL documentation, section 9.27.9, "Transaction ID and Snapshot
// Information Functions".) It costs the server no look at a table. Another connection
// may end at another server, whose transactions have the same numbers.
func snapshot(ctx context.Context, pool *sql.DB) (name string, err error) {
	session, err := pool.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer session.Close()
	err = session.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		server := conn.PgConn()
		// For a context that can be canceled, a goroutine would be started to wait for it.
		until, _ := ctx.Deadline()
		if err := server.Conn().SetDeadline(until); err != nil {
			return err
		}
		defer func() { _ = server.Conn().SetDeadline(time.Time{}) }() // it fails on a connection that is closed
		err := conn.QueryRow(context.WithoutCancel(ctx), "SELECT CAST(pg_current_snapshot() AS TEXT)").Scan(&name)
		name = fmt.Sprintf("%d/%x/%s", server.PID(), server.SecretKey(), name)
		return err
	})
	return name, err
}
