package web

import (
	"errors"
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
)

// administrationView is the administrator's first page.
type administrationView struct {
	Modes   cluster.Modes
	Members []cluster.Member
	Alive   int
	Primary string // the primary's name; "" if there is none
	Trouble []string
	Engine  string
	Jobs    []jobRow
}

type jobRow struct {
	proget.JobStatus
	Percent int64 // of a running job; -1 if not known
}

// shownJobs is the number of jobs on the page.
const shownJobs = 10

func (s *site) showAdministration(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	var view administrationView
	var err error
	if view.Modes, err = s.Cluster.Modes(v.Context()); err != nil {
		return err
	}
	if view.Members, err = s.Cluster.Members(v.Context()); err != nil {
		return err
	}
	for _, m := range view.Members {
		if m.Alive() {
			view.Alive++
		} else {
			view.Trouble = append(view.Trouble, m.Name+" has not been heard of.")
		}
		if m.Primary {
			view.Primary = m.Name
		}
		for _, problem := range []string{m.Key, m.Storage} {
			if problem != "" {
				view.Trouble = append(view.Trouble, m.Name+": "+problem)
			}
		}
	}
	jobs, err := s.Jobs(v.Context(), shownJobs)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		view.Jobs = append(view.Jobs, newJobRow(j))
	}
	view.Engine = s.Engine
	return s.render(v, http.StatusOK, page{name: "administration", title: "Administration", section: "administration", view: view})
}

func newJobRow(j proget.JobStatus) jobRow {
	row := jobRow{j, -1}
	if j.Total > 0 {
		row.Percent = min(100*j.Done/j.Total, 100)
	}
	return row
}

// startJob queues a job. That one is under way already is as good.
func (s *site) startJob(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	kind := v.PostFormValue("kind")
	if kind != "integrity" {
		return proget.Errorf(proget.ErrInvalid, "There is no job %q.", kind)
	}
	if err := s.Enqueue(v.client.Context(), kind, v.id.Principal); err != nil && !errors.Is(err, proget.ErrConflict) {
		return err
	}
	return v.redirect("/administration")
}
