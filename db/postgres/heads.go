package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// original matches the version of PostgreSQL itself, which runs on one machine. In
// distributed databases derived from it, a snapshot may cover only one of their
// servers.
var original = regexp.MustCompile(`^PostgreSQL [0-9.]+[a-z0-9]* (\(|on )`)

// An asker asks for the heads of feeds. PostgreSQL's snapshot lists the transactions
// whose effects a query does not see, so queries with equal snapshots see the same
// data. (PostgreSQL documentation, section 9.27.9, "Transaction ID and Snapshot
// Information Functions".) The server need not read a table for it. This is true of a
// primary only, see guard. Another connection may lead to another server, whose
// transactions have the same numbers.
type asker struct {
	pool *sql.DB
	busy atomic.Bool // the state had changed when it was last asked for, so it has probably changed again
}

// heads implements driver.Pools.Heads.
func (a *asker) heads(ctx context.Context, known string) (state string, heads map[int64]int64, err error) {
	session, err := a.pool.Conn(ctx)
	if err != nil {
		return "", nil, err
	}
	defer session.Close()
	err = session.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		// With a context that can be canceled, pgx would start a goroutine to wait for it.
		until, _ := ctx.Deadline()
		if err := conn.PgConn().Conn().SetDeadline(until); err != nil {
			return err
		}
		defer func() { _ = conn.PgConn().Conn().SetDeadline(time.Time{}) }() // it fails on a connection that is closed
		state, heads, err = a.ask(context.WithoutCancel(ctx), conn, known)
		return err
	})
	if errors.Is(err, os.ErrDeadlineExceeded) { // the context's: the answer is late, and the server not known to be gone
		<-ctx.Done()
		err = context.Cause(ctx)
	}
	return state, heads, err
}

func (a *asker) ask(ctx context.Context, conn *pgx.Conn, known string) (state string, heads map[int64]int64, err error) {
	if !a.busy.Load() {
		var snapshot string
		if err := conn.QueryRow(ctx, "SELECT CAST(pg_current_snapshot() AS TEXT)").Scan(&snapshot); err != nil {
			return "", nil, err
		}
		if state = name(conn, snapshot); state == known {
			return state, nil, nil
		}
	}
	rows, err := conn.Query(ctx, "SELECT CAST(pg_current_snapshot() AS TEXT), feed_id, head FROM feed_head")
	if err != nil {
		return "", nil, err
	}
	var snapshot string
	var feed, head int64
	heads = make(map[int64]int64)
	_, err = pgx.ForEachRow(rows, []any{&snapshot, &feed, &head}, func() error {
		heads[feed] = head
		return nil
	})
	state = name(conn, snapshot)
	a.busy.Store(state != known)
	return state, heads, err
}

// pooled implements driver.Pools.Heads behind a pooler, whose sessions may lead to
// another server than when the connection to it was made: the heads of a standby are
// old.
func (a *asker) pooled(ctx context.Context, _ string) (state string, heads map[int64]int64, err error) {
	rows, err := a.pool.QueryContext(ctx, "SELECT pg_is_in_recovery(), feed_id, head FROM feed_head")
	if err != nil {
		return "", nil, err
	}
	defer rows.Close()
	heads = make(map[int64]int64)
	for rows.Next() {
		var standby bool
		var feed, head int64
		if err := rows.Scan(&standby, &feed, &head); err != nil {
			return "", nil, err
		}
		if standby {
			return "", nil, errStandby
		}
		heads[feed] = head
	}
	return "", heads, rows.Err()
}

// name identifies a snapshot that was taken on a connection.
func name(conn *pgx.Conn, snapshot string) string {
	return fmt.Sprintf("%d/%x/%s", conn.PgConn().PID(), conn.PgConn().SecretKey(), snapshot)
}
