package admin

import (
	"context"
	"errors"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

// Plan returns every scheduled task with its schedule and its newest run.
func (a *Administrator) Plan(ctx context.Context) ([]indexing.Planned, error) {
	return a.scheduler.Plan(ctx)
}

// RunTask starts a task now, regardless of its schedule. With preview, the job only
// reports what it would do. RunTask returns proget.ErrConflict if the task is already
// queued or running.
func (a *Administrator) RunTask(ctx context.Context, name string, preview bool, by proget.Principal) error {
	err := a.change(ctx, by, func(tx *db.Tx) error { return a.scheduler.Run(ctx, tx, name, preview, by.String()) },
		"a task was started", "task", name, "preview", preview)
	if errors.Is(err, proget.ErrConflict) {
		return proget.WrapError(proget.ErrConflict, err, "This job is already waiting or running.")
	}
	return err
}

// Jobs returns the newest jobs, newest first.
func (a *Administrator) Jobs(ctx context.Context, limit int) ([]proget.JobStatus, error) {
	return a.db.ListJobs(ctx, 0, limit)
}

// JobTitle returns the title that people see for a job of that kind and argument.
func (a *Administrator) JobTitle(kind, argument string) string {
	return a.scheduler.JobTitle(kind, argument)
}

// ScheduleTask changes a task's schedule, or disables it; see indexing.ParseExpression.
func (a *Administrator) ScheduleTask(ctx context.Context, name, expression string, enabled bool, by proget.Principal) error {
	return a.change(ctx, by, func(tx *db.Tx) error { return a.scheduler.Change(ctx, tx, name, expression, enabled) },
		"a schedule was changed", "task", name, "schedule", expression, "enabled", enabled)
}

// Job returns a job and its log.
func (a *Administrator) Job(ctx context.Context, id int64) (proget.JobStatus, []proget.JobLines, error) {
	j, err := a.db.FindJob(ctx, id)
	if err != nil {
		return j, nil, orUnknown(err)
	}
	log, err := a.db.JobLog(ctx, id)
	return j, log, err
}

// CancelJob cancels a job. The worker of a running job learns of it with its next
// heartbeat. CancelJob returns proget.ErrConflict if the job has finished.
func (a *Administrator) CancelJob(ctx context.Context, id int64, by proget.Principal) error {
	return orUnknown(a.change(ctx, by, func(tx *db.Tx) error { return tx.CancelJob(ctx, id) }, "a job was canceled", "job", id))
}

func orUnknown(err error) error {
	if errors.Is(err, proget.ErrNotFound) {
		return proget.WrapError(proget.ErrNotFound, err, "There is no such job. Finished jobs are deleted after 30 days.")
	}
	return err
}
