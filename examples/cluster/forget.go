package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/db/sqlserver"
	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/dblease"
	"github.com/proget-go/ha/election/etcd"
	"github.com/proget-go/ha/internal/netfault"
	"github.com/proget-go/ha/proget/node"
)

// noForgetting returns why the elector cannot be made to forget, or "".
func (s *suite) noForgetting() string {
	if s.options.elect == "" || s.options.elect == "database" || s.electsByEtcd() {
		return ""
	}
	return "only the database and etcd can be made to forget who leads"
}

func (s *suite) electsByEtcd() bool { return strings.HasPrefix(s.options.elect, "etcd") }

// forgotten makes the elector forget who leads, like one restored from a backup, and
// elect another: this program, which writes at once and leaves. A primary that reaches
// the elector soon finds out. If the elector is not the database, the primary is cut
// off from it, trusts its lease and continues to write, so that only the fence
// distinguishes the two. The lease is trusted for seconds, so all that takes time is
// done before.
func (s *suite) forgotten(ctx context.Context) (undo func(context.Context) error, err error) {
	p, err := s.pick("index")
	if err != nil {
		return nil, err
	}
	store, err := s.openStore(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	d, closing, err := s.openElector(ctx, store)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closing()) }()
	former, err := d.Current(ctx, node.Office)
	if err != nil {
		return nil, fmt.Errorf("learn who leads: %w", err)
	}
	undo = func(context.Context) error { return nil }
	if between := s.links[p.Name].elect; s.electsByEtcd() && between != nil {
		between.each((*netfault.Proxy).Cut)
		undo = func(context.Context) error { between.each((*netfault.Proxy).Heal); return nil }
	}
	return undo, succeed(ctx, d, store, former)
}

// succeed takes the office from its holder, writes as its holder would, and releases
// it.
func succeed(ctx context.Context, d election.Driver, store *db.Store, former election.Lease) error {
	if err := d.Release(ctx, former); err != nil {
		return fmt.Errorf("have the elector forget who leads: %w", err)
	}
	l, err := d.Acquire(ctx, election.Candidacy{Office: node.Office, Holder: "the suite", TTL: 5 * time.Second, Above: former.Fence.Number})
	if errors.Is(err, election.ErrHeld) {
		return nil // another node was as quick, and writes at once, too
	}
	if err != nil {
		return fmt.Errorf("elect another: %w", err)
	}
	err = store.LeaderTx(ctx, node.Office, l.Fence, func(tx *db.Tx) error { return tx.BeginTerm(ctx, node.Office, l.Fence, l.Holder) })
	return errors.Join(err, d.Release(ctx, l))
}

// openStore opens the database as the nodes do, beside them.
func (s *suite) openStore(ctx context.Context) (*db.Store, error) {
	url, opts := s.options.db, &db.Options{NoMigrate: true}
	switch {
	case url == "":
		return sqlite.Open(ctx, filepath.Join(s.options.data, "proget.db"), opts)
	case strings.HasPrefix(url, "sqlite:"):
		return sqlite.Open(ctx, strings.TrimPrefix(url, "sqlite:"), opts)
	case strings.HasPrefix(url, "postgres"):
		return postgres.Open(ctx, url, opts)
	}
	return sqlserver.Open(ctx, url, opts)
}

func (s *suite) openElector(ctx context.Context, store *db.Store) (d election.Driver, closing func() error, err error) {
	if !s.electsByEtcd() {
		return dblease.New(store), func() error { return nil }, nil
	}
	settings, err := etcd.Parse(s.options.elect)
	if err != nil {
		return nil, nil, err
	}
	e, err := etcd.Open(ctx, settings)
	if err != nil {
		return nil, nil, err
	}
	return e, e.Close, nil
}
