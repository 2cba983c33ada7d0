package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// prepared caches the statements of one pool, for engines whose client does not: SQLite
// would parse each one again, which costs more than running it. A query of several
// statements is cached as these.
type prepared struct {
	pool *sql.DB

	mu     sync.Mutex
	byName map[string][]*sql.Stmt
}

func newPrepared(pool *sql.DB) *prepared {
	return &prepared{pool: pool, byName: make(map[string][]*sql.Stmt)}
}

// all prepares every query. A pool of one connection needs that: during a transaction,
// it has no other connection on which to prepare statements.
func (p *prepared) all(ctx context.Context, queries map[string]query) error {
	for name, q := range queries {
		if _, err := p.of(ctx, name, q); err != nil {
			return err
		}
	}
	return nil
}

// of returns the statements of a query.
func (p *prepared) of(ctx context.Context, name string, q query) ([]*sql.Stmt, error) {
	p.mu.Lock()
	known := p.byName[name]
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	var fresh []*sql.Stmt
	for _, text := range q.statements() {
		st, err := p.pool.PrepareContext(ctx, text)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare query %s: %w", name, err), closeAll(fresh))
		}
		fresh = append(fresh, st)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.byName[name]; known != nil { // another was faster
		return known, closeAll(fresh)
	}
	p.byName[name] = fresh
	return fresh, nil
}

// close closes the statements; nobody may be using them.
func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, statements := range p.byName {
		errs = append(errs, closeAll(statements))
	}
	return errors.Join(errs...)
}

func closeAll(statements []*sql.Stmt) error {
	var errs []error
	for _, st := range statements {
		errs = append(errs, st.Close())
	}
	return errors.Join(errs...)
}
