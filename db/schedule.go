package db

import (
	"context"
	"database/sql"
	"time"
)

// A Schedule says when something runs next, and by which rule.
type Schedule struct {
	Name       string
	Expression string // when it recurs, in the caller's format
	Enabled    bool
	NextRun    time.Time
}

func (sch *Schedule) args() []sql.NamedArg {
	return []sql.NamedArg{arg("name", sch.Name), arg("expression", sch.Expression), arg("enabled", flag(sch.Enabled)),
		arg("next_run", sch.NextRun.UnixMicro())}
}

// Schedules returns all schedules, by name.
func (s *Store) Schedules(ctx context.Context) (map[string]Schedule, error) {
	schedules, err := list(ctx, s.read, "ListSchedule", (*Schedule).fields)
	all := make(map[string]Schedule, len(schedules))
	for _, sch := range schedules {
		all[sch.Name] = sch
	}
	return all, err
}

func (sch *Schedule) fields() []any {
	return []any{&sch.Name, &sch.Expression, &sch.Enabled, (*instant)(&sch.NextRun)}
}

// AddSchedule adds a schedule unless there is one of that name.
func (tx *Tx) AddSchedule(ctx context.Context, sch Schedule) error {
	return tx.insert(ctx, "InsertSchedule", sch.args()...)
}

// SetSchedule changes the schedule of that name, if there is one.
func (tx *Tx) SetSchedule(ctx context.Context, sch Schedule) error {
	_, err := tx.run(ctx, "UpdateSchedule", sch.args()...)
	return err
}

// AdvanceSchedule sets the next run of a schedule that is due. It reports false if the
// schedule no longer has the expression and next run of due, or is disabled.
func (tx *Tx) AdvanceSchedule(ctx context.Context, due Schedule, next time.Time) (bool, error) {
	n, err := tx.run(ctx, "AdvanceSchedule", arg("name", due.Name), arg("expression", due.Expression),
		arg("due", due.NextRun.UnixMicro()), arg("next_run", next.UnixMicro()))
	return n > 0, err
}
