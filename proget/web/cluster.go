package web

import (
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget/cluster"
)

// memberRow is a server in the cluster's table.
type memberRow struct {
	cluster.Member
	Roles     string
	Clock     string
	Heartbeat string
	Indexes   bool // keeps a search index, so that it can lag
}

func (s *site) showCluster(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	members, err := s.Cluster.Members(v.Context())
	if err != nil {
		return err
	}
	var rows []memberRow
	for _, m := range members {
		rows = append(rows, memberRow{m, strings.Join(m.Self.Roles, ", "), formatSkew(m.Skew), formatAge(m.Age), m.Has("web")})
	}
	return s.render(v, http.StatusOK, page{name: "cluster", title: "Indexing Cluster Status", section: "administration", wide: true, live: true, view: rows})
}

// removeServer forgets a server that is gone.
func (s *site) removeServer(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	if err := s.Cluster.Remove(v.client.Context(), v.PostFormValue("name")); err != nil {
		return err
	}
	return v.redirect("/administration/cluster")
}
