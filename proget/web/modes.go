package web

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget/cluster"
)

// A mode is a feature that an administrator enables for the whole cluster.
type mode struct {
	cluster.Mode
	path   string
	title  string
	name   string // on its button, after Enable or Disable
	about  []string
	on     func(cluster.Modes) bool
	checks func(s *site, members []*cluster.Member) []check
}

var loadBalancing = mode{
	Mode: cluster.LoadBalancing, path: "/administration/load-balancing",
	title: "Configure Load Balancing", name: "Load Balancing",
	about: []string{
		"With load balancing, any number of web nodes serve the same feeds behind one address, and any node answers any request. " +
			"A node keeps nothing that another lacks, so the load balancer needs no sticky sessions: use round robin or least connections.",
		"Start every node on the same database and the same shared storage, with the same encryption key (in the reference server PROGET_ENCRYPTION_KEY), so that a session started on one node is valid on all. " +
			"Have the load balancer ask each node for /health/ready and send requests only to those that answer 200: a node that is stopping, or that finds a problem with itself, answers 503.",
	},
	on:     func(m cluster.Modes) bool { return m.LoadBalancing },
	checks: (*site).loadBalancingChecks,
}

var highAvailability = mode{
	Mode: cluster.HighAvailability, path: "/administration/high-availability",
	title: "Configure High Availability Mode", name: "High Availability Mode",
	about: []string{
		"In High Availability mode, several indexing nodes can replace each other: they elect one primary, which starts scheduled jobs, and all of them share the background jobs. " +
			"When the primary stops or fails, another node takes over automatically, and jobs that were running are started again.",
		"Run two indexing nodes or more, and three web nodes or more behind a load balancer that checks /health/ready. " +
			"All of them need the same database, itself highly available, the same shared storage and the same encryption key (in the reference server PROGET_ENCRYPTION_KEY). " +
			"Once this mode is enabled, the Administration page shows the health of the whole cluster instead of the status of one service.",
	},
	on:     func(m cluster.Modes) bool { return m.HighAvailability },
	checks: (*site).availabilityChecks,
}

// modeView is the data of mode.tmpl.
type modeView struct {
	Path, Title, Name string
	About             []string
	On                bool
	Checks            []check
	Met               int // how many checks pass
}

// check is a requirement of a mode, and whether it is met now.
type check struct {
	Title  string
	Detail string
	OK     bool
}

func (s *site) showMode(m mode) func(*visit) error {
	return func(v *visit) error {
		if err := s.administer(v); err != nil {
			return err
		}
		members, modes, err := s.cluster(v)
		if err != nil {
			return err
		}
		view := modeView{Path: m.path, Title: m.title, Name: m.name, About: m.about, On: m.on(modes), Checks: m.checks(s, living(members))}
		for _, c := range view.Checks {
			if c.OK {
				view.Met++
			}
		}
		return s.render(v, http.StatusOK, page{name: "mode", title: m.title, section: "administration", view: view})
	}
}

func (s *site) setMode(m mode) func(*visit) error {
	return func(v *visit) error {
		if err := s.administer(v); err != nil {
			return err
		}
		on, err := formFlag(v, "on")
		if err != nil {
			return err
		}
		if err := s.Cluster.SetMode(v.Context(), m.Mode, on, v.id.Principal); err != nil {
			return err
		}
		s.Logger.InfoContext(v.Context(), "a mode was switched", "mode", m.name, "on", on, "by", v.id.String())
		return v.redirect("/administration")
	}
}

func living(members []cluster.Member) []*cluster.Member {
	var alive []*cluster.Member
	for i := range members {
		if members[i].Alive() {
			alive = append(alive, &members[i])
		}
	}
	return alive
}

func (s *site) loadBalancingChecks(members []*cluster.Member) []check {
	web := withRole(members, cluster.RoleWeb)
	checks := []check{
		{"Two web nodes or more", namesOrNone(web), len(web) >= 2},
		every(web, "Every web node is ready for requests", "all answer /health/ready with 200", func(m *cluster.Member) bool { return m.Ready }),
	}
	return append(checks, s.sharedChecks(members)...)
}

func (s *site) availabilityChecks(members []*cluster.Member) []check {
	web, index := withRole(members, cluster.RoleWeb), withRole(members, cluster.RoleIndex)
	primary := check{Title: "One indexing node is the primary", Detail: "none"}
	var able []*cluster.Member
	for _, m := range index {
		if m.Primary {
			primary.Detail, primary.OK = m.Name, true
		}
		if canLead(m) {
			able = append(able, m)
		}
	}
	checks := []check{
		{"Two indexing nodes or more that are ready to lead", namesOrNone(able), len(able) >= 2},
		primary,
		{"Three web nodes or more", namesOrNone(web), len(web) >= 3},
	}
	return append(checks, s.sharedChecks(members)...)
}

// sharesStorage reports whether the server uses the cluster's storage, so that what it
// reports, such as full storage, applies to all. Servers of an earlier version report
// not ready for any problem with storage.
func sharesStorage(m *cluster.Member) bool { return m.Storage == "" || m.Ready && !m.Foreign }

// sharedChecks returns the checks that both modes require of every server.
func (s *site) sharedChecks(members []*cluster.Member) []check {
	database := check{"One database for all", fmt.Sprintf("%s, used by %s", s.Engine, quantity.Of(len(members), "server")), true}
	if s.Engine == "SQLite" {
		database.Detail, database.OK = "SQLite serves the processes of one machine only: use PostgreSQL or SQL Server for several", false
	}
	return []check{
		database,
		every(members, "The same shared storage", "each server reads what the others wrote", sharesStorage),
		every(members, "The same encryption key", "all servers have the cluster's key", func(m *cluster.Member) bool { return m.Key == "" }),
		every(members, "Clocks that agree", "all are within 30 s of the database's", func(m *cluster.Member) bool { return !m.Skewed() }),
		every(members, "The same version", "all run "+versionOf(members), func(m *cluster.Member) bool { return m.Version == versionOf(members) }),
	}
}

func versionOf(members []*cluster.Member) string {
	if len(members) == 0 {
		return ""
	}
	return members[0].Version
}

// every returns a check that all servers must pass; it names those that do not.
func every(members []*cluster.Member, title, fine string, holds func(*cluster.Member) bool) check {
	var not []*cluster.Member
	for _, m := range members {
		if !holds(m) {
			not = append(not, m)
		}
	}
	if len(not) > 0 {
		return check{title, "not met by " + names(not), false}
	}
	return check{title, fine, len(members) > 0}
}

func withRole(members []*cluster.Member, role string) []*cluster.Member {
	var found []*cluster.Member
	for _, m := range members {
		if m.Has(role) {
			found = append(found, m)
		}
	}
	return found
}

func names(members []*cluster.Member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.Name)
	}
	return strings.Join(all, ", ")
}

func namesOrNone(members []*cluster.Member) string {
	if len(members) == 0 {
		return "none"
	}
	return names(members)
}
