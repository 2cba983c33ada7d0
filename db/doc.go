// Package db is the database: one portable [Store] over the engines in
// db/sqlite, db/postgres and db/sqlserver. The store holds every transaction
// and every scan once; an engine supplies its SQL text, its migrations and the
// classes of its errors (see db/driver).
//
// # Queries
//
// SQL lives in .sql files as blocks that begin with "-- name: InsertJob". A
// query in db/queries is run by every engine as it is. The first time one
// engine needs another text, the query moves to the queries folder of all of
// them. A parameter is written @name in lower case; @now is the database's
// clock, so that no two nodes' clocks are ever compared.
//
// # Writes
//
// A transaction is a closure that can run again: [Store.Tx] repeats it when
// the engine says that this is worth trying, until the context's deadline.
// Every change that a client is told about goes through [Store.Change], which
// appends to the feed's log as its last statement and tells its own earlier
// commit from somebody else's by the operation's id.
//
// Locks are taken in one order everywhere: package, version, blob, file, and
// the feed's head last.
package db
