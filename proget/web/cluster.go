package web

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
)

// The roles that members have.
const (
	roleWeb   = "web"
	roleIndex = "index"
)

// clusterView is the page Indexing Cluster Status.
type clusterView struct {
	Health   health
	Modes    cluster.Modes
	Versions int // different ones among the living
	Members  []memberRow
}

// memberRow is a server in the table.
type memberRow struct {
	cluster.Member
	Alive, Skewed    bool
	Searches         bool // keeps a search index, so that it can lag
	RoleNames        []string
	Clock, Heartbeat string
	Problems         []string
}

func (s *site) showCluster(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	members, modes, err := s.cluster(v)
	if err != nil {
		return err
	}
	view := clusterView{Health: newHealth(members, modes), Modes: modes}
	versions := make(map[string]bool)
	for i := range members {
		row := newMemberRow(&members[i])
		view.Members = append(view.Members, row)
		if row.Alive {
			versions[row.Version] = true
		}
	}
	view.Versions = len(versions)
	return s.render(v, http.StatusOK, page{name: "cluster", title: "Indexing Cluster Status", section: "administration", wide: true, live: true, view: view})
}

func newMemberRow(m *cluster.Member) memberRow {
	row := memberRow{Member: *m, Alive: m.Alive(), Skewed: m.Skewed(), Searches: m.Has(roleWeb),
		Clock: formatSkew(m.Skew), Heartbeat: formatAge(m.Age)}
	for _, role := range m.Roles {
		row.RoleNames = append(row.RoleNames, roleName(role))
	}
	if row.Alive {
		row.Problems = problems(m)
	}
	return row
}

func roleName(role string) string {
	switch role {
	case roleWeb:
		return "Web"
	case roleIndex:
		return "Indexing"
	}
	return role
}

// problems returns what a server found wrong with itself.
func problems(m *cluster.Member) []string {
	var found []string
	for _, problem := range []string{m.Key, m.Storage} {
		if problem != "" {
			found = append(found, problem)
		}
	}
	if m.Skewed() {
		found = append(found, "Its clock differs from the database's by "+formatSkew(m.Skew)+": set it by NTP.")
	}
	return found
}

// removeServer forgets a server that is gone.
func (s *site) removeServer(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	name := v.PostFormValue("name")
	if name == "" {
		return proget.Errorf(proget.ErrInvalid, "The form does not say which server to remove.")
	}
	if err := s.Cluster.Remove(v.Context(), name, v.id.Principal); err != nil {
		return err
	}
	s.Logger.InfoContext(v.Context(), "a server was removed from the cluster", "server", name, "by", v.id.String())
	return v.redirect("/administration/cluster")
}
