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
	"maps"
	"net"
	"net/url"
	"strings"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

//go:embed migrations/*.sql queries/*.sql
var files embed.FS

// connections is the maximum number of connections of each pool.
const connections = 32

// Open opens the database at a sqlserver:// URL or a connection string as ProGet uses,
// "Server=…;Database=…;User ID=…", with go-mssqldb's options, such as failoverpartner,
// multisubnetfailover, fedauth and authenticator. Connections are encrypted unless the
// string says otherwise; if this machine does not trust the server's certificate, add
// trustservercertificate=true.
func Open(ctx context.Context, dsn string, opts *db.Options) (*db.Store, error) {
	e, err := newEngine(dsn)
	if err != nil {
		return nil, err
	}
	return db.Open(ctx, e, opts)
}

// parse reads a connection string and adds defaults.
func parse(dsn string) (map[string]string, error) {
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
	params := config.Parameters
	for key, value := range map[string]string{msdsn.Encrypt: "true", msdsn.DialTimeout: "3", msdsn.AppName: "proget-ha"} {
		if params[key] == "" {
			params[key] = value
		}
	}
	return params, nil
}

func newEngine(dsn string) (engine, error) {
	params, err := parse(dsn)
	if err != nil {
		return engine{}, err
	}
	e := engine{address: addressOf(params)}
	if e.primary, err = newConnector(params); err == nil {
		replica := maps.Clone(params)
		replica[msdsn.ApplicationIntent] = "ReadOnly"
		e.replica, err = newConnector(replica)
	}
	if err != nil {
		return engine{}, proget.WrapError(proget.ErrInvalid, err, "The SQL Server connection string cannot be used.")
	}
	return e, nil
}

// An engine has two connectors: primary writes, and replica only reads data that may be
// a moment old, so that an availability group's listener routes it to a secondary
// replica if there is one for that.
type engine struct {
	primary, replica *connector
	address          string
}

func (engine) Name() string { return "SQL Server" }

// Address implements driver.Addressed.
func (e engine) Address() string { return e.address }

// addressOf names the server, and its mirroring partner if it has one.
func addressOf(params map[string]string) string {
	var all []string
	for _, p := range withPartner(params) {
		at := p[msdsn.Server]
		if port := p[msdsn.Port]; port != "" {
			at += "," + port
		}
		all = append(all, at)
	}
	return strings.Join(all, " and ")
}

func (engine) Files() fs.FS { return files }

func (engine) Now() string { return "DATEDIFF_BIG(MICROSECOND, '1970-01-01', SYSUTCDATETIME())" }

// Bind changes nothing: the engine knows @name parameters.
func (engine) Bind(query string) (string, []string) { return query, nil }

func (e engine) Open(ctx context.Context) (driver.Pools, error) {
	pool := open(e.primary)
	if err := checkIsolation(ctx, pool); err != nil {
		return driver.Pools{}, errors.Join(err, pool.Close())
	}
	return driver.Pools{Write: pool, Read: pool, Replica: open(e.replica), Connected: e.primary.made.Load}, nil
}

// isolation asks whether each statement reads one state of the database, as Babelfish's
// statements always do.
const isolation = `SELECT CASE WHEN @@VERSION LIKE '%Babelfish%' THEN 1
    ELSE (SELECT CAST(is_read_committed_snapshot_on AS INT) FROM sys.databases WHERE database_id = DB_ID()) END`

// checkIsolation refuses a database whose readers wait for writers: one stalled writer
// would stop all of them, and they would then see half of the old and half of the new
// state.
func checkIsolation(ctx context.Context, pool *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var versioned sql.NullInt64
	if err := pool.QueryRowContext(ctx, isolation).Scan(&versioned); err != nil {
		return err
	}
	if versioned.Valid && versioned.Int64 == 0 {
		return proget.Errorf(proget.ErrInvalid, "In this database, readers wait for writers, with which this software does not work. While nobody uses the database, run ALTER DATABASE … SET READ_COMMITTED_SNAPSHOT ON.")
	}
	return nil
}

func open(c *connector) *sql.DB {
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return pool
}

// Classify examines each error that the server sent: "login failed" follows the one
// with the reason, for instance that the database cannot be opened at the moment.
func (engine) Classify(err error) driver.Kind {
	if e, ok := errors.AsType[mssql.Error](err); ok {
		for _, one := range append(e.All, e) {
			if kind := classify(one); kind != driver.Other {
				return kind
			}
		}
		return driver.Other
	}
	var network net.Error
	var operation *net.OpError
	var stream mssql.StreamError
	var server mssql.ServerError
	switch {
	case errors.Is(err, sqldriver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &stream), errors.As(err, &server), errors.As(err, &operation):
		return driver.Unavailable
	case errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded): // which is a net.Error, and no connection's fault
		return driver.Unavailable
	}
	return driver.Other
}
