package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// collect returns the rows of a query. fields returns the destinations of a row's
// columns, in their order.
func collect[T any](ctx context.Context, c *conn, name string, fields func(*T) []any, named ...sql.NamedArg) (all []T, err error) {
	var empty T
	err = c.each(ctx, name, named, func(rows *sql.Rows) error {
		all = append(all, empty)
		return rows.Scan(fields(&all[len(all)-1])...)
	})
	return all, err
}

// A runner is one of the Store's methods that run queries outside a transaction. It may
// make several attempts.
type runner func(ctx context.Context, fn func(*conn) error) error

// one is conn.one outside a transaction.
func one(ctx context.Context, way runner, name string, named []sql.NamedArg, dest ...any) error {
	return way(ctx, func(c *conn) error { return c.one(ctx, name, named, dest...) })
}

// run is conn.run outside a transaction, for statements that are harmless to repeat.
func run(ctx context.Context, way runner, name string, named ...sql.NamedArg) (n int64, err error) {
	err = way(ctx, func(c *conn) (err error) {
		n, err = c.run(ctx, name, named...)
		return err
	})
	return n, err
}

// list is collect outside a transaction. Each attempt begins with an empty result.
func list[T any](ctx context.Context, way runner, name string, fields func(*T) []any, named ...sql.NamedArg) (all []T, err error) {
	err = way(ctx, func(c *conn) error {
		all, err = collect(ctx, c, name, fields, named...)
		return err
	})
	return all, err
}

// table is list for rows that have a key; it returns a map.
func table[K comparable, V any](ctx context.Context, way runner, name string, fields func(*K, *V) []any, named ...sql.NamedArg) (map[K]V, error) {
	type row struct {
		key   K
		value V
	}
	rows, err := list(ctx, way, name, func(r *row) []any { return fields(&r.key, &r.value) }, named...)
	all := make(map[K]V, len(rows))
	for _, r := range rows {
		all[r.key] = r.value
	}
	return all, err
}

// column and columns return the fields of rows with one and two columns.
func column[T any](v *T) []any { return []any{v} }

func columns[K, V any](k *K, v *V) []any { return []any{k, v} }

// An instant is a time that the database stores in microseconds. 0 and NULL mean the
// zero time.
type instant time.Time

// Scan implements [sql.Scanner].
func (t *instant) Scan(value any) error {
	micros, err := microseconds(value)
	*t = instant{}
	if micros != 0 {
		*t = instant(time.UnixMicro(micros).UTC())
	}
	return err
}

// lines are texts that the database stores as the lines of one text. Scan sorts them,
// because engines differ in their order.
type lines []string

// Scan implements [sql.Scanner].
func (l *lines) Scan(value any) error {
	var text sql.NullString
	err := text.Scan(value)
	*l = strings.FieldsFunc(text.String, func(r rune) bool { return r == '\n' })
	slices.Sort(*l)
	return err
}

// A span is a duration that the database stores in microseconds.
type span time.Duration

// Scan implements [sql.Scanner].
func (d *span) Scan(value any) error {
	micros, err := microseconds(value)
	*d = span(time.Duration(micros) * time.Microsecond)
	return err
}

func microseconds(value any) (int64, error) {
	switch value := value.(type) {
	case nil:
		return 0, nil
	case int64: // every driver returns a BIGINT so
		return value, nil
	}
	return 0, fmt.Errorf("microseconds are not a %T", value)
}
