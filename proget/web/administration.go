package web

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
)

const shownJobs = 15 // jobs on the page

// administrationView is the administrator's first page.
type administrationView struct {
	Modes  cluster.Modes
	Health health
	Engine string
	Feeds  []feedRow
	Jobs   []jobRow
}

// health summarises what the servers report about themselves.
type health struct {
	Servers, Alive int
	Primary        string // the primary's name; "" if there is none
	Standby        int    // living servers that could replace the primary
	Problems       []string
}

type jobRow struct {
	proget.JobStatus
	Title   string
	Live    bool  // waiting or running
	Percent int64 // of its work; meaningless if Total is 0
}

func (s *site) showAdministration(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	members, modes, err := s.cluster(v)
	if err != nil {
		return err
	}
	view := administrationView{Modes: modes, Health: newHealth(members, modes), Engine: s.Engine}
	if view.Feeds, err = s.feedRows(v, func(*proget.Feed) (bool, error) { return true, nil }); err != nil {
		return err
	}
	jobs, err := s.Admin.Jobs(v.Context(), shownJobs)
	if err != nil {
		return err
	}
	live := false
	for _, j := range jobs {
		row := s.newJobRow(j)
		view.Jobs = append(view.Jobs, row)
		live = live || row.Live
	}
	return s.render(v, http.StatusOK, page{name: "administration", title: "Administration", section: "administration", live: live, view: view})
}

// cluster returns the data of the cluster's pages.
func (s *site) cluster(v *visit) ([]cluster.Member, cluster.Modes, error) {
	members, err := s.Cluster.Members(v.Context())
	if err != nil {
		return nil, cluster.Modes{}, err
	}
	modes, err := s.Cluster.Modes(v.Context())
	return members, modes, err
}

func newHealth(members []cluster.Member, modes cluster.Modes) health {
	h := health{Servers: len(members)}
	for i := range members {
		m := &members[i]
		if !m.Alive() {
			h.Problems = append(h.Problems, m.Name+" sent its last heartbeat "+formatAge(m.Age)+".")
			continue
		}
		h.Alive++
		for _, problem := range problems(m) {
			h.Problems = append(h.Problems, m.Name+": "+problem)
		}
		switch {
		case m.Primary:
			h.Primary = m.Name
		case canLead(m):
			h.Standby++
		}
	}
	if h.Primary == "" {
		h.Problems = append(h.Problems, "No indexing node is the primary. If that lasts, start a server with the role index.")
	}
	if modes.HighAvailability && h.Standby == 0 {
		h.Problems = append(h.Problems, "No indexing node is standing by: start another, or mend one that is not ready, so that it can take over.")
	}
	return h
}

// canLead reports whether a living server is, or could become, the primary: one with
// another key or storage does not stand for election.
func canLead(m *cluster.Member) bool { return m.Has(cluster.RoleIndex) && m.Ready }

func (s *site) newJobRow(j proget.JobStatus) jobRow {
	row := jobRow{JobStatus: j, Title: s.Admin.JobTitle(j.Kind, j.Argument), Live: j.Live()}
	if j.Total > 0 {
		row.Percent = max(min(100*j.Done/j.Total, 100), 0)
	}
	return row
}
