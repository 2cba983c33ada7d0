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
// the engine says that this is worth trying, until the context's deadline or for as long as
// [Options] say: 45 s, each attempt 10 s, and a read for a third of that time.
// Every change that a client is told about goes through [Store.Change], which
// appends to the feed's log at the end, where the feed's row is locked, and tells its own
// earlier commit from somebody else's by the operation's id. Only [Change].Check runs after
// it: it asks what must not be overtaken by another change.
//
// # Locks
//
// A transaction locks the rows that it needs in this order: the office's fence, the
// upload, the package, the version, the job, the blob, the file, and last the feed's
// head, which all changes of the feed wait for. A transaction that counts downloads
// takes the versions in the order of their ids, and each day after its version.
//
// Some cannot. A deletion takes the package after the version, its blobs and files: only
// then it is known whether any other version is left. A feed is deleted, and counted
// anew, beginning with its head, so that no change comes between. And what there is
// not yet cannot be locked: [Store.HoldBlob], [Store.KeepPartial] and [Store.KeepWhole]
// find no upload and take the blob before they insert one. If another has begun it
// meanwhile, the insert fails, and [ErrTryAgain] has them find it.
//
// Blobs that several transactions share come in no order. Where two wait for each
// other after all, the engine ends one, which runs again.
package db
