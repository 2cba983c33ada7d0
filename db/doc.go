// Package db is the database: one portable [Store] over the engines in db/sqlite,
// db/postgres and db/sqlserver. The store contains every transaction and every scan
// once; an engine supplies its SQL text, its migrations and the classification of its
// errors (see db/driver).
//
// # Queries
//
// SQL lives in .sql files as blocks that begin with "-- name: InsertJob". Every engine
// runs the queries in db/queries unchanged. As soon as one engine needs another text,
// the query moves to the queries folders of all engines. A parameter is written @name
// in lower case; @now is the database's clock, so that the clocks of two nodes are
// never compared.
//
// # Writes
//
// A transaction is a closure that can run again: [Store.Tx] repeats it when the
// engine's error says that this may help, until the context's deadline or for as long
// as [Options] allow: 45 s, with 10 s for each attempt. Reads are retried for a third
// of that time. Every change that is reported to a client goes through [Store.Change].
// At its end, it locks the feed's row and appends to the feed's log; the operation's id
// distinguishes its own earlier commit from another's. Only [Change].Check runs after
// that: it checks what no other change may invalidate before the commit.
//
// # Locks
//
// A transaction locks the rows that it needs in this order: the office's fence, the
// upload, the package, the version, the job, the blob, the file, and last the feed's
// head, for which all changes of the feed wait. A transaction that counts downloads
// locks versions in the order of their ids, and each day after its version.
//
// There are exceptions. A deletion locks the package after the version, its blobs and
// files, because it knows only then whether another version is left. Deleting a feed
// and recounting it begin with its head, so that no change comes between;
// [Store.Administer] begins with the system feed's head, so that administrative changes
// run one after another. Moving a file
// locks the feed's own row after its head, as deleting the feed does. And a row that
// does not exist cannot be locked: if [Store.HoldBlob], [Store.KeepPartial] and
// [Store.KeepWhole] find no upload, they lock the blob before they insert one. If
// another transaction has begun that upload meanwhile, the insert fails, and
// [ErrTryAgain] makes them run again and find it.
//
// A transaction locks the blobs that it shares with others in no particular order. If
// two transactions deadlock nevertheless, the engine aborts one, which runs again.
package db
