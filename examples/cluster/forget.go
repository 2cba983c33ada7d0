package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/proget-go/ha/election/etcd"
	"github.com/proget-go/ha/internal/netfault"
	"github.com/proget-go/ha/proget/node"
)

// noForgetting says why the elector cannot be made to forget.
func (s *suite) noForgetting() string {
	if s.options.elect == "" || s.options.elect == "database" || s.electsByEtcd() {
		return ""
	}
	return "only the database and etcd can be made to forget who leads"
}

func (s *suite) electsByEtcd() bool { return strings.HasPrefix(s.options.elect, "etcd") }

// forgotten has the elector forget who leads, as one does that is restored from a
// backup: it elects another while the primary still trusts its lease. A primary that
// reaches the elector finds out soon; with an elector apart from the database, it is
// cut off from that, and writes on: the fence alone tells the two apart.
func (s *suite) forgotten(ctx context.Context) (func(context.Context) error, error) {
	if !s.electsByEtcd() {
		return func(context.Context) error { return nil }, s.forgetInDatabase(ctx)
	}
	p, err := s.pick("index")
	if err != nil {
		return nil, err
	}
	undo := func(context.Context) error { return nil }
	if between := s.links[p.Name].elect; between != nil {
		between.each((*netfault.Proxy).Cut)
		undo = func(context.Context) error { between.each((*netfault.Proxy).Heal); return nil }
	}
	return undo, s.forgetInEtcd(ctx)
}

func (s *suite) forgetInDatabase(ctx context.Context) error {
	db, err := s.openDB()
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "UPDATE lease SET expires = 0"); err != nil {
		return fmt.Errorf("have the database forget who leads: %w", err)
	}
	return nil
}

func (s *suite) forgetInEtcd(ctx context.Context) error {
	settings, err := etcd.Parse(s.options.elect)
	if err != nil {
		return err
	}
	e, err := etcd.Open(ctx, settings)
	if err != nil {
		return err
	}
	defer e.Close()
	l, err := e.Current(ctx, node.Office)
	if err == nil {
		err = e.Release(ctx, l)
	}
	if err != nil {
		return fmt.Errorf("have etcd forget who leads: %w", err)
	}
	return nil
}
