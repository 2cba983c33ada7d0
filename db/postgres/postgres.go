// Package postgres is the PostgreSQL engine, version 13 or newer.
package postgres

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

//go:embed migrations/*.sql queries/*.sql
var files embed.FS

// connections bounds the pool. A node needs few: reads come from memory.
const connections = 16

// Open opens the database at a postgres:// URL or a keyword=value string, with pgx's
// options. It may name several hosts, as is usual for Patroni clusters; add
// target_session_attrs=read-write then. Open refuses a standby in any case. A pooler in
// between may share a server session among transactions, like pgbouncer in transaction
// mode.
func Open(ctx context.Context, url string, opts *db.Options) (*db.Store, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, proget.WrapError(proget.ErrInvalid, err, "The PostgreSQL connection string cannot be read.")
	}
	return OpenConfig(ctx, config, nil, opts)
}

// OpenConfig is Open with a configuration that the program has derived from one of
// pgx.ParseConfig: with its own network, for instance. Before each connection,
// OpenConfig calls before, which may be nil, with a copy of config that it may change:
// for instance, if passwords are tokens that expire after minutes. An error of before
// counts as a network error.
func OpenConfig(ctx context.Context, config *pgx.ConnConfig, before func(context.Context, *pgx.ConnConfig) error, opts *db.Options) (*db.Store, error) {
	config = config.Copy()
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second // per host
	}
	new(history).guard(&config.Config)
	return db.Open(ctx, engine{config, before}, opts)
}

type engine struct {
	config *pgx.ConnConfig
	before func(context.Context, *pgx.ConnConfig) error // nil for nothing
}

// prepare calls before; its errors count as temporary.
func (e engine) prepare(ctx context.Context, config *pgx.ConnConfig) error {
	if e.before == nil {
		return nil
	}
	if err := e.before(ctx, config); err != nil {
		return fmt.Errorf("%w: %w", sqldriver.ErrBadConn, err)
	}
	return nil
}

func (engine) Name() string { return "PostgreSQL" }

// Address implements driver.Addressed. It returns all hosts of the configuration.
func (e engine) Address() string {
	all := []string{net.JoinHostPort(e.config.Host, strconv.Itoa(int(e.config.Port)))}
	for _, f := range e.config.Fallbacks {
		if at := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return strings.Join(all, ",")
}

func (engine) Files() fs.FS { return files }

// Now returns the wall clock rather than the transaction's start, so that two
// statements of a transaction see time pass.
func (engine) Now() string {
	return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
}

func (e engine) Open(ctx context.Context) (driver.Pools, error) {
	config, first := e.config.Copy(), e.config.Copy()
	if err := e.prepare(ctx, first); err != nil {
		return driver.Pools{}, err
	}
	at, err := look(ctx, first)
	if err != nil {
		return driver.Pools{}, err
	}
	if config.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		if at.direct {
			endIdle(config)
		} else {
			config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // keeps no statements in the session
		}
	}
	dialer := newDialer(stdlib.GetConnector(*config, stdlib.OptionBeforeConnect(e.prepare)))
	pool := sql.OpenDB(dialer)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pools := driver.Pools{Write: pool, Read: pool, Connected: dialer.connected.Load}
	if original.MatchString(at.version) {
		a := &asker{pool: pool}
		if pools.Heads = a.pooled; at.direct {
			pools.Heads = a.heads
		}
	}
	return pools, nil
}

// standstill is how long a transaction may wait for its client's next statement, which
// normally takes milliseconds. A client that stalls or has vanished would otherwise
// keep its locks, and everybody else waiting, until the network notices: for hours.
const standstill = 5 * time.Second

// endIdle makes the server end the sessions of such clients. A pooler would report the
// parameter as an error.
func endIdle(config *pgx.ConnConfig) {
	const name = "idle_in_transaction_session_timeout"
	if _, set := config.RuntimeParams[name]; !set {
		config.RuntimeParams[name] = strconv.FormatInt(standstill.Milliseconds(), 10)
	}
}

// Bind rewrites @name to $n.
func (engine) Bind(query string) (string, []string) {
	params := db.Parameters(query)
	text := db.ReplaceParameters(query, func(name string) string {
		return "$" + strconv.Itoa(slices.Index(params, name)+1)
	})
	return text, params
}

// Classify follows https://www.postgresql.org/docs/current/errcodes-appendix.html.
func (engine) Classify(err error) driver.Kind {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return classifyCode(e.Code)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connect), errors.Is(err, sqldriver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, errStandby), pgconn.SafeToRetry(err):
		return driver.Unavailable
	case errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded):
		return driver.Unavailable
	}
	return driver.Other
}

func classifyCode(code string) driver.Kind {
	switch code {
	case "23505":
		return driver.Unique
	case "23503":
		return driver.ForeignKey
	case "40001", "40P01", "55P03", "57014": // serialization failure, deadlock, lock not available, canceled by the server's own time limit
		return driver.Retry
	case "53100": // disk full
		return driver.Full
	case "42501": // insufficient privilege
		return driver.Denied
	case "25006", // read-only transaction: this server is a standby now
		"57P01", "57P02", "57P03", "57P05", // shutting down, crashed, starting up, idle session ended
		"25P03",                            // this client stalled within a transaction, see endIdle
		"53000", "53200", "53300", "53400": // no resources, out of memory, too many connections, another limit
		return driver.Unavailable
	}
	if strings.HasPrefix(code, "08") { // connection exceptions
		return driver.Unavailable
	}
	return driver.Other
}
