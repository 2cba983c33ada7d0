// Package sqlserver is the Microsoft SQL Server engine, 2017 or newer, and
// Azure SQL.
package sqlserver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"embed"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/url"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

//go:embed migrations/*.sql queries/*.sql
var files embed.FS

const (
	connections = 32               // bounds the pool
	login       = 10 * time.Second // bounds a connect, which the driver does not do by itself
)

// Open opens the database at a sqlserver:// URL or ProGet's own kind of
// connection string, "Server=…;Database=…;User ID=…".
func Open(ctx context.Context, dsn string, opts *db.Options) (*db.Store, error) {
	config, err := msdsn.Parse(dsn)
	if err != nil {
		if bad, ok := errors.AsType[*url.Error](err); ok {
			err = bad.Err // the text around it would show the password
		}
		return nil, proget.WrapError(proget.ErrInvalid, err, "The SQL Server connection string cannot be read.")
	}
	if config.Database == "" {
		return nil, proget.Errorf(proget.ErrInvalid, "The SQL Server connection string names no database: add Database=….")
	}
	if config.DialTimeout == 0 {
		config.DialTimeout = 5 * time.Second
	}
	return db.Open(ctx, engine{config}, opts)
}

type engine struct{ config msdsn.Config }

func (engine) Name() string { return "SQL Server" }

func (engine) Files() fs.FS { return files }

func (engine) Now() string { return "DATEDIFF_BIG(MICROSECOND, '1970-01-01', SYSUTCDATETIME())" }

// Bind changes nothing: the engine knows @name parameters.
func (engine) Bind(query string) (string, []string) { return query, nil }

func (e engine) Open(context.Context) (driver.Pools, error) {
	connector := mssql.NewConnectorConfig(e.config)
	// XACT_ABORT: an error never leaves half a transaction open. LOCK_TIMEOUT:
	// a wait for a lock ends as error 1222, which is tried again.
	connector.SessionInitSQL = "SET XACT_ABORT ON; SET LOCK_TIMEOUT 5000;"
	pool := sql.OpenDB(boundedConnector{connector})
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return driver.Pools{Write: pool, Read: pool}, nil
}

// boundedConnector ends a connect in time: the driver heeds no deadline between
// the dial and the end of the login (microsoft/go-mssqldb issue 254).
type boundedConnector struct{ *mssql.Connector }

type connected struct {
	conn sqldriver.Conn
	err  error
}

func (c boundedConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, login)
	defer cancel()
	done := make(chan connected, 1)
	go func() {
		conn, err := c.Connector.Connect(ctx)
		done <- connected{conn, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		go closeLate(done)
		return nil, &net.OpError{Op: "login", Net: "tcp", Err: ctx.Err()}
	}
}

// closeLate closes a connection that came up after everybody had left.
func closeLate(done <-chan connected) {
	if r := <-done; r.conn != nil {
		_ = r.conn.Close()
	}
}

// Classify follows Microsoft's "Database engine events and errors" and the
// list of transient errors in SqlClient's SqlConfigurableRetryFactory.
func (engine) Classify(err error) driver.Kind {
	var e mssql.Error
	if errors.As(err, &e) {
		return classifyNumber(e)
	}
	var network net.Error
	var stream mssql.StreamError
	var server mssql.ServerError
	switch {
	case errors.Is(err, sqldriver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &stream), errors.As(err, &server), errors.As(err, &network):
		return driver.Unavailable
	}
	return driver.Other
}

func classifyNumber(e mssql.Error) driver.Kind {
	switch e.Number {
	case 2601, 2627: // unique index, unique constraint
		return driver.Unique
	case 547: // foreign key or check constraint
		return driver.ForeignKey
	case 1204, 1205, 1222, // no lock resources, deadlock victim, lock timeout
		3960, 3961, // snapshot conflict
		41301, 41302, 41305, 41325, 41839: // in-memory tables
		return driver.Retry
	case 1101, 1105, 9002, // no space in a filegroup, transaction log full
		40544: // Azure: the database has reached its size
		return driver.Full
	case 64, 233, 596, 997, 10053, 10054, 10060, 10928, 10929, // broken connection, killed session, throttling
		4060, 4221, 40143, 40197, 40501, 40540, 40613, 49918, 49919, 49920, // cannot open database; Azure reconfiguration
		976, 978, 982, 983, 988, 35250, // availability group: not accessible, resolving
		3906,       // the database is read-only: this replica is no primary
		1404, 1418, // mirroring
		6005,         // shutdown in progress
		17142, 17143, // paused, shutting down
		18401: // script upgrade
		return driver.Unavailable
	case 18456: // login failed; with these states because the database is recovering
		if e.State == 38 || e.State == 40 || e.State == 46 {
			return driver.Unavailable
		}
	}
	return driver.Other
}
