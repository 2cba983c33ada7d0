// Package sqlite is the embedded database engine: one file, no server, many processes
// on one machine.
//
// The file is in write-ahead-log mode with full synchronization, so that a commit is on
// disk when it returns. Each process has one connection that writes and several that
// read; the engine makes the writers of several processes wait for each other. The file
// must not be on a network share, where the engine's shared memory does not work.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	sqlite3 "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

//go:embed migrations/*.sql queries/*.sql
var files embed.FS

// readers returns the number of connections that read. Each has its own page cache: with
// more connections than processors, each cache has fewer hits, and all together take
// more memory.
func readers() int { return max(4, runtime.GOMAXPROCS(0)) }

// Open opens the database file at path. It creates the file, readable for this user
// only, if there is none, but not its folder: a missing folder is more likely a mistake
// than intended.
func Open(ctx context.Context, path string, opts *db.Options) (*db.Store, error) {
	if path == "" {
		return nil, proget.Errorf(proget.ErrInvalid, "The name of the SQLite database file is missing.")
	}
	if path == ":memory:" || path == "file::memory:" {
		return nil, proget.Errorf(proget.ErrInvalid, "The SQLite database must be a file, so that several processes can open it: give a file name, for a test in a temporary folder.")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the database file: %w", err)
	}
	if err := refuseNetworkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("create the database file: %w", err)
	}
	store, err := db.Open(ctx, engine{path}, opts)
	if err != nil {
		return nil, fmt.Errorf("the database file %s: %w", path, explain(err))
	}
	return store, nil
}

// explain adds what an engine's error most often means to a person who starts a server.
func explain(err error) error {
	e, ok := errors.AsType[*sqlite3.Error](err)
	if !ok {
		return err
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: the file is damaged or is not a database, or the files -wal and -shm next to it belong to a database that it has replaced: restore backups with the restore command, not by copying", err)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return fmt.Errorf("the file or its folder is read-only, or permission is denied: %w", err)
	}
	return err
}

// refused returns the error for a folder that several machines share, which is not
// suitable for a database.
func refused(kind, folder string) error {
	return proget.Errorf(proget.ErrInvalid,
		"SQLite cannot be used on the %s share %s, because its write-ahead log needs memory that machines do not share: use a local folder, or PostgreSQL or SQL Server for several machines.", kind, folder)
}

// create creates an empty file unless there is one; the engine gives the files beside
// it the same mode. It never opens an existing file: closing it would release this
// process's locks on it (https://sqlite.org/howtocorrupt.html, section 2.2).
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

type engine struct{ path string }

func (engine) Name() string { return "SQLite" }

func (engine) Files() fs.FS { return files }

// Now has the resolution of the engine's clock, a millisecond.
func (engine) Now() string { return "CAST(unixepoch('subsec') * 1000000 AS INTEGER)" }

// Bind changes nothing: the engine knows @name parameters.
func (engine) Bind(query string) (string, []string) { return query, nil }

func (e engine) Open(ctx context.Context) (driver.Pools, error) {
	write, err := e.pool("_txlock=immediate", 1)
	if err != nil {
		return driver.Pools{}, err
	}
	before, _ := os.Stat(e.path)
	if err := e.begin(ctx, write); err != nil { // before readers need it
		return driver.Pools{}, errors.Join(err, write.Close())
	}
	if now, err := os.Stat(e.path); err == nil && before != nil && !os.SameFile(before, now) {
		// The pool stays open: closing it would remove the log from under the users of the new file.
		return driver.Pools{}, errors.New("the file has been replaced in the meantime, for example by a restore: start again")
	}
	read, err := e.pool("_pragma=query_only(1)", readers())
	if err != nil {
		return driver.Pools{}, errors.Join(err, write.Close())
	}
	pools := driver.Pools{Write: write, Read: read, Prepare: true}
	if index, err := openWALIndex(e.path); err == nil {
		pools.Stamp, pools.Release = index.Stamp, index.Close
	} else {
		slog.DebugContext(ctx, "commits are not seen in shared memory; the database is asked each time", "error", err)
	}
	return pools, nil
}

// atStart is how long opening waits for other processes.
const atStart = 30 * time.Second

// begin makes the first connection, which turns an empty file into a database with a
// write-ahead log. The engine needs exclusive access for that and, if several processes
// begin at once, does not wait for it, whatever busy_timeout says.
func (e engine) begin(ctx context.Context, pool *sql.DB) error {
	for until := time.Now().Add(atStart); ; {
		err := pool.PingContext(ctx)
		if err == nil || e.Classify(err) != driver.Retry || time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(10*time.Millisecond + rand.N(50*time.Millisecond)):
		case <-ctx.Done():
			return err
		}
	}
}

func (e engine) pool(options string, size int) (*sql.DB, error) {
	return openDSN(e.path, "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&"+options, size)
}

func openDSN(path, options string, size int) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: options}
	pool, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

// Classify follows https://www.sqlite.org/rescode.html: the primary code is in
// the low byte.
func (engine) Classify(err error) driver.Kind {
	var e *sqlite3.Error
	if !errors.As(err, &e) {
		return driver.Other
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return driver.Unique
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return driver.ForeignKey
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return driver.Retry
	case lib.SQLITE_FULL:
		return driver.Full
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		return driver.Denied
	}
	return driver.Other
}
