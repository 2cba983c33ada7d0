package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
)

const shownJobs = 15 // jobs on the page

// jobKinds are the jobs that a person can start, by kind and argument.
var jobKinds = []jobKind{
	{"collection", "preview", "Preview free storage"},
	{"collection", "", "Free storage"},
	{"integrity", "", "Check stored files"},
}

// A jobKind is a kind of job as the page shows it.
type jobKind struct{ Kind, Argument, Title string }

func findJob(kind, argument string) (jobKind, bool) {
	i := slices.IndexFunc(jobKinds, func(k jobKind) bool { return k.Kind == kind && k.Argument == argument })
	if i < 0 {
		return jobKind{}, false
	}
	return jobKinds[i], true
}

// starter is a button that starts a job.
type starter struct {
	jobKind
	Busy bool // such a job waits or runs
}

// administrationView is the administrator's first page.
type administrationView struct {
	Modes  cluster.Modes
	Health health
	Engine string
	Feeds  []feedRow
	Jobs   []jobRow
	Start  []starter
}

// health is what the servers say about themselves, in short.
type health struct {
	Servers, Alive int
	Primary        string // the primary's name; "" if there is none
	Standby        int    // living servers that could take its place
	Problems       []string
}

type jobRow struct {
	proget.JobStatus
	Title   string
	Live    bool  // waiting or running
	Percent int64 // of its work; meaningless while Total is 0
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
	jobs, err := s.Jobs(v.Context(), shownJobs)
	if err != nil {
		return err
	}
	live := false
	for _, k := range jobKinds {
		view.Start = append(view.Start, starter{jobKind: k})
	}
	for _, j := range jobs {
		row := newJobRow(j)
		view.Jobs = append(view.Jobs, row)
		live = live || row.Live
		for i, k := range jobKinds {
			view.Start[i].Busy = view.Start[i].Busy || row.Live && row.Kind == k.Kind && row.Argument == k.Argument
		}
	}
	return s.render(v, http.StatusOK, page{name: "administration", title: "Administration", section: "administration", live: live, view: view})
}

// cluster returns what the cluster's pages are about.
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
		case m.Has(roleIndex):
			h.Standby++
		}
	}
	if h.Primary == "" {
		h.Problems = append(h.Problems, "No living indexing node is the primary.")
	}
	if modes.HighAvailability && h.Standby == 0 {
		h.Problems = append(h.Problems, "No indexing node stands by: nobody could take over.")
	}
	return h
}

func newJobRow(j proget.JobStatus) jobRow {
	row := jobRow{JobStatus: j, Title: j.Kind, Live: j.Live()}
	if k, ok := findJob(j.Kind, j.Argument); ok {
		row.Title = k.Title
	} else if j.Kind == "move" {
		row.Title = "Move files to their feed's storage"
	}
	if j.Total > 0 {
		row.Percent = max(min(100*j.Done/j.Total, 100), 0)
	}
	return row
}

// startJob queues a job. That one is under way already is as good.
func (s *site) startJob(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	kind, argument, _ := strings.Cut(v.PostFormValue("kind"), " ")
	if _, ok := findJob(kind, argument); !ok {
		return proget.Errorf(proget.ErrInvalid, "There is no job %.60q to start.", kind)
	}
	if err := s.Enqueue(v.Context(), kind, argument, v.id.Principal); err != nil && !errors.Is(err, proget.ErrConflict) {
		return err
	}
	return v.redirect("/administration#jobs")
}
