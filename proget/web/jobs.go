package web

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

const scheduledPath = "/administration/scheduled-jobs"

// scheduledView is the page Scheduled Jobs.
type scheduledView struct {
	refusal
	Tasks []taskRow
}

type taskRow struct {
	indexing.Planned
	Running  bool
	Duration string // of the newest run
	Entered  string // the expression as the form shows it
	Ticked   bool   // the form's box "enabled"
}

func (s *site) showScheduled(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	return s.scheduled(v, refusal{status: http.StatusOK})
}

func (s *site) scheduled(v *visit, r refusal) error {
	plan, err := s.Admin.Plan(v.Context())
	if err != nil {
		return err
	}
	entered := v.PostForm.Has("expression") // a refused form is shown again; the page must not reload
	view := scheduledView{refusal: r}
	live := false
	for _, p := range plan {
		row := taskRow{Planned: p, Entered: p.Expression, Ticked: p.Enabled}
		if entered && p.Name == v.PostFormValue("name") {
			row.Entered, row.Ticked = v.PostFormValue("expression"), scheduleOn(v)
			view.Message = p.Title + ": " + r.Message
		}
		if p.Last != nil {
			row.Running, row.Duration = p.Last.Live(), formatDuration(p.Last.Duration())
		}
		live = live || row.Running
		view.Tasks = append(view.Tasks, row)
	}
	return s.render(v, r.status, page{name: "scheduled-jobs", title: "Scheduled Jobs", section: "administration", wide: true, live: live && !entered, view: view})
}

// runTask starts a task, or a preview of it, now.
func (s *site) runTask(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	name, preview := v.PostFormValue("name"), v.PostFormValue("preview")
	return s.changeTask(v, s.Admin.RunTask(v.Context(), cmp.Or(name, preview), name == "", v.id.Principal))
}

func (s *site) scheduleTask(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	return s.changeTask(v, s.Admin.ScheduleTask(v.Context(), v.PostFormValue("name"), v.PostFormValue("expression"), scheduleOn(v), v.id.Principal))
}

// scheduleOn reads a checkbox, which browsers send only if it is checked.
func scheduleOn(v *visit) bool { return v.PostFormValue("enabled") == "true" }

// changeTask answers a change: it redirects, or shows the page with what is wrong.
func (s *site) changeTask(v *visit, err error) error {
	if r, ok := refused(err); ok {
		return s.scheduled(v, r)
	}
	if err != nil {
		return err
	}
	return v.redirect(scheduledPath)
}

// jobView is the page of one job.
type jobView struct {
	jobRow
	Duration, Remaining, Rate string
	Log                       []proget.JobLines
}

func (s *site) showJob(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	id, err := jobID(v)
	if err != nil {
		return err
	}
	j, log, err := s.Admin.Job(v.Context(), id)
	if err != nil {
		return err
	}
	view := jobView{jobRow: s.newJobRow(j), Duration: formatDuration(j.Duration()), Log: log}
	if left := j.Remaining(); left > 0 {
		view.Remaining = formatDuration(left)
	}
	if seconds := j.Duration().Seconds(); j.Done > 0 && seconds > 0 {
		view.Rate = fmt.Sprintf("%.1f per second", float64(j.Done)/seconds)
	}
	return s.render(v, http.StatusOK, page{name: "job", title: view.Title, section: "administration", live: view.Live, view: view})
}

func (s *site) cancelJob(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	id, err := jobID(v)
	if err != nil {
		return err
	}
	if err := s.Admin.CancelJob(v.Context(), id, v.id.Principal); err != nil {
		return err
	}
	return v.redirect("/administration/jobs/" + strconv.FormatInt(id, 10))
}

func jobID(v *visit) (int64, error) {
	id, err := strconv.ParseInt(v.PathValue("job"), 10, 64)
	if err != nil {
		return 0, proget.Errorf(proget.ErrNotFound, "There is no such job.")
	}
	return id, nil
}

// formatDuration formats a duration for people.
func formatDuration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
