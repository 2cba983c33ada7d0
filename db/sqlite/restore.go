package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/proget-go/ha/proget"
)

// Restore replaces the database at path, which nobody may use meanwhile, by a copy of
// the database file from, as made by [Backup]. It keeps the former database and its log
// under the name that it returns, or "" if there was none. It refuses a file that is
// damaged or is no database of this software with proget.ErrInvalid, and a database
// that is in use with proget.ErrConflict; nothing is changed then.
func Restore(ctx context.Context, from, path string) (kept string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the engine keeps its log beside the real file
	}
	if err := checkDistinct(from, path); err != nil {
		return "", err
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), ".restore-*")
	if err != nil {
		return "", fmt.Errorf("make a file beside the database: %w", err)
	}
	defer func() { _ = os.Remove(fresh.Name()) }() // gone already if all went well
	if err := fresh.Close(); err != nil {
		return "", err
	}
	if err := copyIntact(ctx, from, fresh.Name()); err != nil {
		return "", err
	}
	if err := flush(fresh.Name()); err != nil {
		return "", err
	}
	return replace(fresh.Name(), path)
}

func checkDistinct(from, path string) error {
	backup, err := os.Stat(from)
	if err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "There is no backup %s.", from)
	}
	if now, err := os.Stat(path); err == nil && os.SameFile(backup, now) {
		return proget.Errorf(proget.ErrInvalid, "%s is the database itself: name a backup of it. If you have replaced the database by hand, put it back, or move the replacement away, with the -wal and -shm files.", from)
	}
	return nil
}

// copyIntact copies a database, including what is in its own log, if it is intact and
// belongs to this software. It does not change the original.
func copyIntact(ctx context.Context, from, to string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	pool, err := openDSN(from, "mode=ro&_pragma=busy_timeout(10000)"+unchanging(from), 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := checkIntact(ctx, pool, from); err != nil {
		return err
	}
	if _, err := pool.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}

// unchanging returns the option to read a file without a log where nothing can be
// written.
func unchanging(path string) string {
	for _, end := range []string{"-wal", "-journal"} {
		if _, err := os.Stat(path + end); !errors.Is(err, fs.ErrNotExist) {
			return ""
		}
	}
	return "&immutable=1"
}

func checkIntact(ctx context.Context, pool *sql.DB, name string) error {
	var found string
	if err := pool.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "%s is damaged, or is not a SQLite database: %v.", name, err)
	}
	if found != "ok" {
		return proget.Errorf(proget.ErrInvalid, "%s is damaged: %s.", name, found)
	}
	var version, oldest int
	err := pool.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0), COALESCE(MAX(oldest), 0) FROM schema_version").Scan(&version, &oldest)
	if err != nil || version == 0 {
		return proget.Errorf(proget.ErrInvalid, "%s is not a database of this software.", name)
	}
	known, err := fs.Glob(files, "migrations/*.sql")
	if err == nil && oldest > len(known) {
		err = proget.Errorf(proget.ErrInvalid, "%s was made by a newer version of this software: restore it with that one.", name)
	}
	return err
}

// replace renames the file fresh to the database's name. It removes the old log, which
// the engine would otherwise replay onto the new file.
func replace(fresh, path string) (kept string, err error) {
	if err := create(path); err != nil { // so that there is one to lock, and no server creates one meanwhile
		return "", err
	}
	lock, err := lockFile(path)
	if err != nil {
		return "", err
	}
	defer lock.release()
	if kept, err = keep(path); err != nil {
		return "", err
	}
	if runtime.GOOS == "windows" { // where an open file cannot be replaced
		lock.release()
	}
	for _, end := range belonging {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return "", err
	}
	return kept, syncFolder(filepath.Dir(path))
}

// belonging are the suffixes of the files that the engine keeps beside a database.
var belonging = []string{"-wal", "-shm", "-journal"}

// keep gives the database and its logs another name beside the old one, and returns it.
// It returns "" if the database is empty or missing.
func keep(path string) (kept string, err error) {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return "", err
	}
	kept = path + ".before-restore-" + time.Now().Format("20060102-150405.000")
	for _, end := range []string{"", "-wal", "-journal"} {
		err := os.Link(path+end, kept+end)
		if err != nil && (end == "" || !errors.Is(err, fs.ErrNotExist)) {
			return "", fmt.Errorf("keep the former database: %w", err)
		}
	}
	return kept, syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder durable, where folders can be synced.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err = f.Sync(); errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
