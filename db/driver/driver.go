// Package driver defines what a database engine must supply to the portable db.Store.
// Test an engine by running dbtest against it.
//
// The interface may still change until two engines outside this module exist.
package driver

import (
	"context"
	"database/sql"
	"io/fs"
	"slices"
)

// A Kind classifies an error by what the store does about it.
type Kind int

// The kinds of error.
const (
	Other       Kind = iota // reported, and logged in full
	Unique                  // a unique key exists already
	ForeignKey              // a row that is referred to is gone: the transaction is retried
	Retry                   // deadlock, lock timeout, serialization failure: the transaction is retried
	Unavailable             // failover, broken connection, not the primary: retried on another connection
	Full                    // no space left: an administrator must act, so it is not retried
	Denied                  // the account lacks a right
)

// Pools are the connection pools of an open database: one that writes and one that only
// reads. An engine with no reason to distinguish them returns the same pool for both.
// Each pool must limit its open connections.
type Pools struct {
	Write *sql.DB
	Read  *sql.DB

	// Replica, if not nil, serves reads that may be a moment old, to relieve the server
	// that writes. If a read from Replica fails, the store asks Read.
	Replica *sql.DB

	// Prepare makes the store keep prepared statements. Leave it false if the engine's
	// client caches statements itself or may connect through a pooler that forgets
	// them: closing a connection that holds a statement waits for the server.
	Prepare bool

	// Stamp, if not nil, returns a value that differs after every commit of any
	// process: if two are equal, nothing was committed between. ok is false while a
	// commit is in progress. An engine sets Stamp only if it costs almost nothing; if
	// nil, the store asks the database.
	Stamp func() (s Stamp, ok bool)

	// Heads, if not nil, returns the newest log position of every feed and an
	// identifier of the database state that they belong to. known is the state that the
	// caller has; if state equals it, heads may be nil. An engine sets Heads only if it
	// costs less than the query that the store runs otherwise.
	Heads func(ctx context.Context, known string) (state string, heads map[int64]int64, err error)

	// Connected, if not nil, counts the connections that Read has made. An engine
	// supplies it if another server, which lacks the newest commits, may replace its
	// server. If nil, the count is unknown.
	Connected func() int64

	// Release, if not nil, is called after the pools have been closed.
	Release func() error
}

// A Stamp identifies a state of the database.
type Stamp [6]uint64

// All returns each pool once.
func (p Pools) All() []*sql.DB {
	var all []*sql.DB
	for _, pool := range []*sql.DB{p.Write, p.Read, p.Replica} {
		if pool != nil && !slices.Contains(all, pool) {
			all = append(all, pool)
		}
	}
	return all
}

// An Addressed Driver returns its server's address for messages, without any secret.
type Addressed interface{ Address() string }

// A Driver is one database engine: everything, except SQL text, in which engines
// differ.
type Driver interface {
	// Name returns the engine's name for display: "PostgreSQL".
	Name() string

	// Open opens the pools. It need not reach the server; if it tries and Classify
	// calls the error Unavailable, the store calls it again for some time.
	Open(ctx context.Context) (Pools, error)

	// Files returns a file system with migrations/NNN_name.sql and queries/*.sql.
	Files() fs.FS

	// Now returns the SQL expression for the database's clock, in microseconds since
	// 1970-01-01 UTC. It replaces @now in queries.
	Now() string

	// Bind rewrites the @name parameters of a query to the engine's own. If params is
	// nil, the store passes arguments by name, otherwise by position in the order of
	// params.
	Bind(query string) (text string, params []string)

	// Classify returns the kind of an error that the engine returned. err is never nil.
	Classify(err error) Kind
}
