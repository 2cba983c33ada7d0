package db

import (
	"context"
	"database/sql"
	"strings"

	"github.com/proget-go/ha/proget"
)

// ListStorages returns all storages by id; the first is the one that servers
// are started with. Their number is an administrator's choice and small.
func (s *Store) ListStorages(ctx context.Context) ([]proget.Storage, error) {
	var all []proget.Storage
	err := s.read(ctx, func(c *conn) error {
		all = nil
		return c.each(ctx, "ListStorages", nil, func(rows *sql.Rows) error {
			var st proget.Storage
			var created int64
			err := rows.Scan(&st.ID, &st.Name, &st.URL, &st.Probe, &created)
			st.Created = fromMicros(created)
			all = append(all, st)
			return err
		})
	})
	return all, err
}

// CreateStorage adds a storage within a change of the system feed and sets
// st.ID. A name that another storage has leaves the store as proget.ErrConflict.
func (tx *Tx) CreateStorage(ctx context.Context, st *proget.Storage) error {
	return tx.one(ctx, "InsertStorage", []sql.NamedArg{arg("name", st.Name), arg("name_key", strings.ToLower(st.Name)),
		arg("url", st.URL), arg("probe", st.Probe)}, &st.ID)
}
