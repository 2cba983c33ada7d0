// Package driver says what a database engine must supply to the portable
// db.Store. An engine is proven by running dbtest against it.
//
// The interface may still change until two engines outside this module exist.
package driver

import (
	"context"
	"database/sql"
	"io/fs"
	"slices"
)

// A Kind is what the store does about an error.
type Kind int

// The kinds of error.
const (
	Other       Kind = iota // shown once and logged whole
	Unique                  // a unique key exists already
	ForeignKey              // a row that is referred to is gone: the transaction is tried again
	Retry                   // deadlock, lock timeout, serialization: the transaction is tried again
	Unavailable             // failover, broken connection, not primary: tried again on another connection
	Full                    // no space left: an administrator must act, so it is not tried again
	Denied                  // the account lacks a right
)

// Pools are an open database: one pool that writes and one that only reads.
// Engines without a reason to tell them apart return the same pool twice. Each
// has a limit of open connections.
type Pools struct {
	Write *sql.DB
	Read  *sql.DB

	// Replica, if there is one, takes reads that may be a moment old off the
	// server that writes. Where it fails, Read is asked.
	Replica *sql.DB

	// Prepare says that statements are worth keeping. An engine whose client
	// remembers them by itself, or is reached through a pooler that forgets them,
	// leaves it false: closing a connection that holds one waits for the server.
	Prepare bool

	// Stamp, where an engine has such a thing at almost no cost, returns what
	// differs after every commit of any process: if two are equal, nothing was
	// committed between. ok is false while a commit is under way. nil: the
	// database must be asked.
	Stamp func() (s Stamp, ok bool)

	// Heads, where an engine has such a thing for less than a query, returns the
	// newest log position of every feed, and a name of the state of the database that
	// they are of. In the state that the caller knows, they may be nil. nil: there is
	// only the query.
	Heads func(ctx context.Context, known string) (state string, heads map[int64]int64, err error)

	// Connected, where an engine's server may be followed by another that lacks its newest
	// commits, counts the connections that were made to whichever Read asks. nil: it is not
	// known.
	Connected func() int64

	// Release, if not nil, is called after the pools were closed.
	Release func() error
}

// A Stamp is a state of the database.
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

// An Addressed Driver knows where its server is, for messages, without any secret.
type Addressed interface{ Address() string }

// A Driver is one database engine: all in which engines differ beside SQL text.
type Driver interface {
	// Name is the engine's name for people: "PostgreSQL".
	Name() string

	// Open opens the pools. It need not reach the server; where it has to, and
	// Classify calls its error Unavailable, it is called again for some time.
	Open(ctx context.Context) (Pools, error)

	// Files holds migrations/NNN_name.sql and queries/*.sql.
	Files() fs.FS

	// Now is the SQL expression for the database's clock, as microseconds
	// since 1970-01-01 UTC. It stands wherever a query says @now.
	Now() string

	// Bind rewrites the @name parameters of a query to the engine's own. If
	// params is nil, arguments are passed by name, else by position in its
	// order.
	Bind(query string) (text string, params []string)

	// Classify tells what kind of error the engine returned. err is never nil.
	Classify(err error) Kind
}
