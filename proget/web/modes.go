package web

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
)

// A mode is something that an administrator switches on for the whole cluster.
type mode struct {
	Setting string
	Path    string
	Title   string
	Name    string // as on its button, after Enable or Disable
	About   string
	on      func(cluster.Modes) bool
}

var loadBalancing = mode{
	Setting: cluster.SettingLoadBalancing, Path: "/administration/load-balancing",
	Title: "Configure Load Balancing", Name: "Load Balancing",
	About: "Any number of web nodes answer any request: none keeps anything that another lacks, so the load balancer needs no sticky sessions. " +
		"Start each with the same database, the same storage and the same encryption key, and let the load balancer check /health/ready.",
	on: func(m cluster.Modes) bool { return m.LoadBalancing },
}

var highAvailability = mode{
	Setting: cluster.SettingHA, Path: "/administration/high-availability",
	Title: "Configure High Availability Mode", Name: "High Availability Mode",
	About: "Indexing nodes elect a primary among them. If it stops, another takes over, within the lease if it vanished without a word. " +
		"All of them work background jobs. Two indexing nodes at least are needed for one to take over.",
	on: func(m cluster.Modes) bool { return m.HighAvailability },
}

type modeView struct {
	Mode   mode
	On     bool
	Checks []check
}

// check is something that the mode needs, and whether it holds.
type check struct {
	Text string
	OK   bool
}

func (s *site) showMode(m mode) func(*visit) error {
	return func(v *visit) error {
		if err := s.administer(v); err != nil {
			return err
		}
		modes, err := s.Cluster.Modes(v.Context())
		if err != nil {
			return err
		}
		members, err := s.Cluster.Members(v.Context())
		if err != nil {
			return err
		}
		view := modeView{m, m.on(modes), s.checks(members)}
		return s.render(v, http.StatusOK, page{name: "mode", title: m.Title, section: "administration", view: view})
	}
}

func (s *site) checks(members []cluster.Member) []check {
	web, index, key, storage, clock := 0, 0, true, true, true
	for _, m := range members {
		if !m.Alive() {
			continue
		}
		if m.Has("web") {
			web++
		}
		if m.Has("index") {
			index++
		}
		key, storage, clock = key && m.Key == "", storage && m.Storage == "", clock && !m.Skewed()
	}
	return []check{
		{plural(web, "web node") + " alive; two or more share the load", web >= 2},
		{plural(index, "indexing node") + " alive; two or more can replace each other", index >= 2},
		{"Every server has the cluster's encryption key", key},
		{"Every server sees the cluster's storage", storage},
		{"Every server's clock agrees with the database's", clock},
		{"The database, " + s.Engine + ", can be reached from several machines", s.Engine != "SQLite"},
	}
}

func (s *site) setMode(m mode) func(*visit) error {
	return func(v *visit) error {
		if err := s.administer(v); err != nil {
			return err
		}
		on := v.PostFormValue("on")
		if on != "true" && on != "false" {
			return proget.Errorf(proget.ErrInvalid, "The form does not say whether to enable %s.", m.Name)
		}
		if err := s.Cluster.SetMode(v.client.Context(), m.Setting, on == "true", v.id.Principal); err != nil {
			return err
		}
		return v.redirect("/administration")
	}
}
