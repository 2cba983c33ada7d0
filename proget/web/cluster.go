package web

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
)

// clusterView is the page Indexing Cluster Status.
type clusterView struct {
	Health   health
	Modes    cluster.Modes
	Versions int // how many different ones the living servers run
	Groups   []memberGroup
	Timeline timeline
}

// A memberGroup is the servers with the same roles.
type memberGroup struct {
	Title   string
	Members []memberRow
}

// memberRow is a server in the table.
type memberRow struct {
	cluster.Member
	Alive, Skewed    bool
	Clock, Heartbeat string
	Problems         []string // each with advice
}

func (s *site) showCluster(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	members, modes, err := s.cluster(v)
	if err != nil {
		return err
	}
	history, err := s.Cluster.History(v.Context())
	if err != nil {
		return err
	}
	view := clusterView{Health: newHealth(members, modes), Modes: modes, Groups: groupMembers(members), Timeline: newTimeline(history, members)}
	versions := make(map[string]bool)
	for _, m := range living(members) {
		versions[m.Version] = true
	}
	view.Versions = len(versions)
	return s.render(v, http.StatusOK, page{name: "cluster", title: "Indexing Cluster Status", section: "administration", wide: true, live: true, view: view})
}

// groupMembers groups servers by their roles, and puts those that are gone last.
func groupMembers(members []cluster.Member) []memberGroup {
	groups := []memberGroup{{Title: "Web and indexing nodes"}, {Title: "Web nodes"}, {Title: "Indexing nodes"}, {Title: "Other servers"}, {Title: "Stale servers"}}
	for i := range members {
		m := &members[i]
		at := 3
		switch {
		case !m.Alive():
			at = 4
		case m.Has(cluster.RoleWeb) && m.Has(cluster.RoleIndex):
			at = 0
		case m.Has(cluster.RoleWeb):
			at = 1
		case m.Has(cluster.RoleIndex):
			at = 2
		}
		groups[at].Members = append(groups[at].Members, newMemberRow(m))
	}
	return slices.DeleteFunc(groups, func(g memberGroup) bool { return len(g.Members) == 0 })
}

func newMemberRow(m *cluster.Member) memberRow {
	row := memberRow{Member: *m, Alive: m.Alive(), Skewed: m.Skewed(), Clock: formatSkew(m.Skew), Heartbeat: formatAge(m.Age)}
	if !row.Alive {
		row.Problems = []string{"It sent its last heartbeat " + formatAge(m.Age) + ": start it again, or remove it with ✕ if it will not come back."}
		return row
	}
	row.Problems = problems(m)
	if !m.Ready && len(row.Problems) == 0 {
		row.Problems = []string{"It takes no requests because it is stopping or has a problem: see its /health/ready."}
	}
	return row
}

// problems returns the problems that a server reports about itself.
func problems(m *cluster.Member) []string {
	var found []string
	for _, problem := range []string{m.Key, m.Storage} {
		if problem != "" {
			found = append(found, problem)
		}
	}
	if m.Skewed() {
		found = append(found, "Its clock differs from the database's by "+formatSkew(m.Skew)+": synchronize it with NTP.")
	}
	return found
}

// removeServer removes a server that is gone.
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

// stepDown asks the primary to hand over leadership.
func (s *site) stepDown(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	term, err := strconv.ParseInt(v.PostFormValue("term"), 10, 64)
	if err != nil {
		return proget.Errorf(proget.ErrInvalid, "The form does not say which term is to end.")
	}
	if err := s.Cluster.StepDown(v.Context(), term, v.id.Principal); err != nil {
		return err
	}
	s.Logger.InfoContext(v.Context(), "the primary was asked to step down", "term", term, "by", v.id.String())
	return v.redirect("/administration/cluster")
}
