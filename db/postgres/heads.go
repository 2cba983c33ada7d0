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

// original is the version of a server that is PostgreSQL itself, on one machine: in
// relatives that are distributed, a snapshot may tell of one of their servers alone.
var original = regexp.MustCompile(`^PostgreSQL [0-9.]+[a-z0-9]* (\(|on )`)

// An asker asks for the heads of feeds. PostgreSQL's snapshot is the list of the
// transactions whose effects a query does not see, so two that are equal see the
// same. (PostgreSQL documentation, section 9.27.9, "Transaction ID and Snapshot
// Information Functions".) It costs the server no look at a table. That is so on a
// primary only, see guard. Another connection may end at another server, whose
// transactions have the same numbers.
type asker struct {
	pool *sql.DB
	busy atomic.Bool // the state was another than before when it was asked for last: it is likely to be so again
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
		// For a context that can be canceled, a goroutine would be started to wait for it.
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

// pooled implements driver.Pools.Heads behind a pooler, whose sessions may end at
// another server than when the connection to it was made: a standby's heads are old.
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

// name is a snapshot's that was taken on a connection.
func name(conn *pgx.Conn, snapshot string) string {
	return fmt.Sprintf("%d/%x/%s", conn.PgConn().PID(), conn.PgConn().SecretKey(), snapshot)
}
