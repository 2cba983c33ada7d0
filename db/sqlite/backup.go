package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/proget-go/ha/proget"
)

// Backup copies the database at path, which may be in use, to the new file to. The copy
// is a consistent state of one moment; on error there is none. Writers do not wait for
// it. It returns proget.ErrInvalid if path does not exist or to does. For a backup of
// everything, copy the database first and the storage folder after it: later files do
// no harm, but missing ones would.
func Backup(ctx context.Context, path, to string) error {
	if _, err := os.Stat(path); err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "There is no database %s.", path)
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return proget.Errorf(proget.ErrInvalid, "%s already exists: name a new file.", to)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	partial := to + ".partial"
	defer func() { _ = os.Remove(partial) }() // gone already if all went well
	if err := vacuumInto(ctx, path, partial); err != nil {
		return fmt.Errorf("copy the database to %s: %w", partial, err)
	}
	if err := flush(partial); err != nil {
		return err
	}
	return os.Rename(partial, to)
}

func vacuumInto(ctx context.Context, path, to string) error {
	pool, err := engine{path}.pool("", 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.ExecContext(ctx, "VACUUM INTO ?", to)
	return err
}

func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
}
