package db

import (
	"context"
	"database/sql"
	"errors"

	"github.com/proget-go/ha/proget"
)

// Settings returns all settings of the installation.
func (s *Store) Settings(ctx context.Context) (map[string]string, error) {
	return table(ctx, s.readVital, "ListSettings", columns[string, string])
}

// Setting returns a setting's value as the transaction sees it; ok is false if it was
// never set.
func (tx *Tx) Setting(ctx context.Context, name string) (value string, ok bool, err error) {
	err = tx.one(ctx, "GetSetting", []sql.NamedArg{arg("name", name)}, &value)
	if errors.Is(err, proget.ErrNotFound) {
		return "", false, nil
	}
	return value, err == nil, err
}

// SetSetting sets a setting.
func (tx *Tx) SetSetting(ctx context.Context, name, value string) error {
	return tx.put(ctx, "UpdateSetting", "InsertSetting", arg("name", name), arg("value", value))
}

// AddSetting sets a setting that was never set. Otherwise it returns a unique
// violation, which leaves the store as proget.ErrConflict: of several calls, the first
// wins.
func (tx *Tx) AddSetting(ctx context.Context, name, value string) error {
	_, err := tx.run(ctx, "InsertSetting", arg("name", name), arg("value", value))
	return err
}
