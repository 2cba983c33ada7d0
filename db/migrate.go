package db

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

// A migration brings the schema from version-1 to version. Migrations only ever move
// forward. A migration's first line, "-- oldest: N", says which software can continue
// to work, and start, on the new schema: that which knows version N or a later one. As
// long as migrations only add to the schema, N does not change.
type migration struct {
	version, oldest int64
	name            string
	text            string
}

// migrations reads migrations/NNN_name.sql in order.
func (s *Store) migrations() ([]migration, error) {
	files, err := fs.Glob(s.drv.Files(), "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version != int64(i+1) {
			return nil, fmt.Errorf("migration %s of %s: expected number %03d", name, s.drv.Name(), i+1)
		}
		text, err := fs.ReadFile(s.drv.Files(), file)
		if err != nil {
			return nil, err
		}
		m := migration{version: version, name: name, text: string(text)}
		if _, err := fmt.Sscanf(m.text, "-- oldest: %d\n", &m.oldest); err != nil || m.oldest < 1 || m.oldest > version {
			return nil, fmt.Errorf("migration %s of %s: its first line is to name the oldest schema version whose software works on it", name, s.drv.Name())
		}
		all = append(all, m)
	}
	return all, nil
}

// checkSchema compares the database's schema version with the one that this software
// needs and, if migrate is true, upgrades an older schema.
func (s *Store) checkSchema(ctx context.Context, migrate bool) error {
	all, err := s.migrations()
	if err != nil {
		return err
	}
	current, oldest, err := s.schemaVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	needed := int64(len(all))
	switch {
	case oldest > needed:
		return proget.Errorf(proget.ErrInvalid,
			"The database has schema version %d, made by a newer version of this software. It needs software that knows version %d or later, but this server knows only version %d: upgrade this server.", current, oldest, needed)
	case current >= needed:
		return nil
	case !migrate:
		return proget.Errorf(proget.ErrInvalid,
			"The database has schema version %d and this version needs %d: run the upgradedb command with an account that may change the schema.", current, needed)
	}
	for _, m := range all[current:] {
		if err := s.migrate(ctx, m); err != nil {
			return fmt.Errorf("migrate the database with %s: %w", m.name, err)
		}
	}
	return nil
}

// schemaVersion returns the schema's version, and the oldest version whose software
// works on it.
func (s *Store) schemaVersion(ctx context.Context) (version, oldest int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		var exists int64
		if err := c.one(ctx, "HasSchemaVersion", nil, &exists); err != nil || exists == 0 {
			return err
		}
		return c.one(ctx, "SchemaVersion", nil, &version, &oldest)
	})
	return version, oldest, err
}

// migrate applies one migration in one transaction, under the engine's lock. A process
// that comes second finds the new version and does nothing; one that dies in the middle
// leaves nothing. The lock belongs to the transaction rather than the session, so that
// it also works through a pooler.
func (s *Store) migrate(ctx context.Context, m migration) error {
	_, err := s.transact(ctx, migrating, func(tx *Tx) error {
		for _, name := range []string{"LockMigrations", "CreateSchemaVersion"} {
			if _, err := tx.run(ctx, name); err != nil {
				return err
			}
		}
		var current, oldest int64
		if err := tx.one(ctx, "SchemaVersion", nil, &current, &oldest); err != nil || current >= m.version {
			return err
		}
		if _, err := tx.exec.ExecContext(ctx, m.text); err != nil {
			return err
		}
		_, err := tx.run(ctx, "InsertSchemaVersion", arg("version", m.version), arg("name", m.name), arg("oldest", m.oldest))
		return err
	})
	if err != nil && s.drv.Classify(err) == driver.Denied {
		return proget.WrapError(proget.ErrInvalid, err,
			"This account may not change the database's schema: run the upgradedb command with one that may, and start this server without upgrading (in the reference server with -upgrade-db=false).")
	}
	return err
}

// migrating limits a migration, which may take long or wait for another node's.
var migrating = bounds{patience: time.Hour, attempt: time.Hour, wait: 500 * time.Millisecond}
