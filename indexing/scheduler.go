package indexing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // schedules name time zones, which not every machine knows

	"github.com/robfig/cron/v3"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// A Task is recurring work.
type Task struct {
	Name       string    // of its schedule
	Title      string    // shown to people
	About      string    // what it does, in a sentence
	Expression string    // when it recurs unless an administrator changes it; see ParseExpression
	Job        db.NewJob // queued then, under a run key: at most one is unfinished
	Preview    string    // argument of a job that only reports what would be done; "" if there is none
}

// A Scheduler queues tasks on the primary when they are due. The database holds
// administrators' choices and the next run of each task.
type Scheduler struct {
	DB     *db.Store
	Office string // whose fence guards its writes
	Tasks  []Task
}

// A Planned is a task with its schedule and its newest run.
type Planned struct {
	Task
	Expression string // in force
	Enabled    bool
	NextRun    time.Time         // meaningless unless enabled
	Last       *proget.JobStatus // nil if it never ran
}

// shortest is the minimum time between two runs of a task.
const shortest = time.Minute

// ParseExpression reads a cron expression: minute, hour, day of the month, month, day
// of the week; or one like "@daily" or "@every 6h". Times are UTC unless it begins with
// CRON_TZ=, as in "CRON_TZ=Europe/Berlin 30 2 * * *". It returns proget.ErrInvalid with
// a sentence for the person who typed the expression.
func ParseExpression(text string) (cron.Schedule, error) {
	text = strings.TrimSpace(text)
	in := text
	if !strings.HasPrefix(text, "CRON_TZ=") && !strings.HasPrefix(text, "TZ=") {
		in = "CRON_TZ=UTC " + text
	}
	var schedule cron.Schedule
	err := Safely(func() (err error) { // the parser panics at some malformed time zones
		schedule, err = cron.ParseStandard(in)
		return err
	})
	if err != nil {
		return nil, proget.WrapError(proget.ErrInvalid, err,
			"The schedule %.60q cannot be read: give minute, hour, day of the month, month and day of the week, as in 30 2 * * 0, or @daily, or @every 6h.", text)
	}
	first := schedule.Next(time.Unix(0, 0))
	if first.IsZero() {
		return nil, proget.Errorf(proget.ErrInvalid, "The schedule %.60q names a day that never comes.", text)
	}
	if schedule.Next(first).Sub(first) < shortest {
		return nil, proget.Errorf(proget.ErrInvalid, "The schedule %.60q recurs more often than once a minute.", text)
	}
	return schedule, nil
}

// Tick queues the tasks that are due. The primary calls it about every second. It
// returns proget.ErrStale if the fence is superseded.
func (s *Scheduler) Tick(ctx context.Context, fence proget.Fence) error {
	known, err := s.DB.Schedules(ctx)
	if err != nil {
		return err
	}
	now, err := s.DB.Clock(ctx)
	if err != nil {
		return err
	}
	var todo []func(*db.Tx) error
	var unclear []error // does not affect the other tasks
	for _, t := range s.Tasks {
		step, err := s.step(ctx, t, known, now)
		if err != nil {
			unclear = append(unclear, fmt.Errorf("schedule %s: %w", t.Name, err))
		} else if step != nil {
			todo = append(todo, step)
		}
	}
	if len(todo) == 0 {
		return errors.Join(unclear...)
	}
	err = s.DB.LeaderTx(ctx, s.Office, fence, func(tx *db.Tx) error {
		for _, step := range todo {
			if err := step(tx); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(append(unclear, err)...)
}

// step returns what to do about a task now, or nil for nothing.
func (s *Scheduler) step(ctx context.Context, t Task, known map[string]db.Schedule, now time.Time) (func(*db.Tx) error, error) {
	sch, ok := known[t.Name]
	if !ok {
		first, err := t.first(now)
		return func(tx *db.Tx) error { return tx.AddSchedule(ctx, first) }, err
	}
	if !sch.Enabled || sch.NextRun.After(now) {
		return nil, nil
	}
	rule, err := ParseExpression(sch.Expression)
	if err != nil {
		return nil, err
	}
	return func(tx *db.Tx) error {
		moved, err := tx.AdvanceSchedule(ctx, sch, rule.Next(now))
		if err != nil || !moved { // an administrator has changed it meanwhile
			return err
		}
		return tx.EnqueueOnce(ctx, t.job("the schedule"))
	}, nil
}

// first returns the schedule of a task that has none yet.
func (t *Task) first(now time.Time) (db.Schedule, error) {
	rule, err := ParseExpression(t.Expression)
	if err != nil {
		return db.Schedule{}, err
	}
	return db.Schedule{Name: t.Name, Expression: t.Expression, Enabled: true, NextRun: rule.Next(now)}, nil
}

// job returns the job of a run of the task.
func (t *Task) job(by string) db.NewJob {
	j := t.Job
	j.RunKey, j.QueuedBy = j.Kind+" "+j.Argument, by
	return j
}

// Find returns a task by its name, or proget.ErrNotFound.
func (s *Scheduler) Find(name string) (Task, error) {
	i := slices.IndexFunc(s.Tasks, func(t Task) bool { return t.Name == name })
	if i < 0 {
		return Task{}, proget.Errorf(proget.ErrNotFound, "There is no task %.60q.", name)
	}
	return s.Tasks[i], nil
}

// Run queues a task's job now, whatever its schedule, or, with preview, one that only
// reports what it would do. It returns proget.ErrNotFound if there is no such task, and
// proget.ErrInvalid if it has no preview. If the job is already queued or running, the
// transaction fails with proget.ErrConflict.
func (s *Scheduler) Run(ctx context.Context, tx *db.Tx, name string, preview bool, by string) error {
	t, err := s.Find(name)
	if err != nil {
		return err
	}
	if !preview {
		return tx.Enqueue(ctx, t.job(by))
	}
	if t.Preview == "" {
		return proget.Errorf(proget.ErrInvalid, "%s cannot be previewed.", t.Title)
	}
	t.Job.Argument = t.Preview
	return tx.Enqueue(ctx, t.job(by))
}

// JobTitle returns the title of a job of a kind and argument.
func (s *Scheduler) JobTitle(kind, argument string) string {
	i := slices.IndexFunc(s.Tasks, func(t Task) bool { return t.Job.Kind == kind })
	if i < 0 {
		return strings.TrimSpace(kind + " " + argument)
	}
	if argument == s.Tasks[i].Job.Argument {
		return s.Tasks[i].Title
	}
	return s.Tasks[i].Title + ": " + argument
}

// Change replaces the schedule of a task. It returns proget.ErrNotFound if there is no
// such task, and proget.ErrInvalid if the expression cannot be read.
func (s *Scheduler) Change(ctx context.Context, tx *db.Tx, name, expression string, enabled bool) error {
	t, err := s.Find(name)
	if err != nil {
		return err
	}
	rule, err := ParseExpression(expression)
	if err != nil {
		return err
	}
	now, err := s.DB.Clock(ctx)
	if err != nil {
		return err
	}
	sch := db.Schedule{Name: t.Name, Expression: strings.TrimSpace(expression), Enabled: enabled, NextRun: rule.Next(now)}
	if err := tx.AddSchedule(ctx, sch); err != nil {
		return err
	}
	return tx.SetSchedule(ctx, sch)
}

// Plan returns all tasks with their schedules and newest runs.
func (s *Scheduler) Plan(ctx context.Context) ([]Planned, error) {
	known, err := s.DB.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	now, err := s.DB.Clock(ctx)
	if err != nil {
		return nil, err
	}
	var plan []Planned
	for _, t := range s.Tasks {
		sch, ok := known[t.Name]
		if !ok {
			if sch, err = t.first(now); err != nil {
				return nil, err
			}
		}
		p := Planned{Task: t, Expression: sch.Expression, Enabled: sch.Enabled, NextRun: sch.NextRun}
		last, err := s.DB.LastJob(ctx, t.Job.Kind, t.Job.Argument)
		switch {
		case err == nil:
			p.Last = &last
		case !errors.Is(err, proget.ErrNotFound):
			return nil, err
		}
		plan = append(plan, p)
	}
	return plan, nil
}
