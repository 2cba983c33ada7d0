package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
)

// A NewJob is a job to enqueue.
type NewJob struct {
	Kind        string
	Argument    string
	Lane        string        // jobs of a lane share a limit of how many of them a node works at once
	RunKey      string        // at most one unfinished job may have it; "" for none
	Priority    int64         // smaller is sooner
	Delay       time.Duration // before it may start; the primary then releases it
	MaxFailures int64         // after so many, the job is given up; 0 means 10
	QueuedBy    string        // who queued it
}

func (j *NewJob) args() []sql.NamedArg {
	state := proget.JobWaiting
	if j.Delay > 0 {
		state = proget.JobDelayed
	}
	return []sql.NamedArg{arg("kind", j.Kind), arg("argument", j.Argument), arg("lane", j.Lane), arg("state", string(state)),
		arg("run_key", sql.NullString{String: j.RunKey, Valid: j.RunKey != ""}), arg("queued_by", j.QueuedBy),
		arg("priority", j.Priority), arg("delay", j.Delay.Microseconds()), arg("max_failures", cmp.Or(j.MaxFailures, defaultFailures))}
}

// defaultFailures is the number of failures after which a job is given up by default.
const defaultFailures = 10

// Enqueue queues a job within the transaction that makes it necessary. If an unfinished
// job has the same run key, the transaction fails with proget.ErrConflict.
func (tx *Tx) Enqueue(ctx context.Context, j NewJob) error {
	_, err := tx.run(ctx, "InsertJob", j.args()...)
	return err
}

// EnqueueOnce queues a job unless an unfinished one has the same run key.
func (tx *Tx) EnqueueOnce(ctx context.Context, j NewJob) error {
	return tx.insert(ctx, "InsertJobOnce", j.args()...)
}

// ClaimJob claims the next job of a lane, or returns nil if there is none. The worker
// must renew the claim with BeatJob before ttl has passed: otherwise ReleaseExpiredJobs
// puts the job back, and the next claim has a greater number.
//
// The worker must also call BeatJob before it begins to work. If the answer to a claim
// is lost, nobody owns that claim, and the retry claims another job; a claim that
// expires without a heartbeat does not count as a failure of its job. ClaimJob stops
// retrying while there is time left to begin.
func (s *Store) ClaimJob(ctx context.Context, worker, lane string, ttl time.Duration) (*proget.Job, error) {
	var j proget.Job
	b := s.changing
	b.patience = min(b.patience, max(ttl/2, time.Second))
	err := s.on(ctx, s.pools.Write, b, func(c *conn) error {
		return c.one(ctx, "ClaimJob", []sql.NamedArg{arg("worker", worker), arg("lane", lane), arg("ttl", ttl.Microseconds())},
			&j.ID, &j.Kind, &j.Argument, &j.Attempt, &j.Failures, &j.MaxFailures)
	})
	if errors.Is(err, proget.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &j, nil
}

// BeatJob renews a claim and records progress; the first call says that the work
// begins. It returns proget.ErrStale if the claim is lost, and proget.ErrCanceled if
// the job was canceled.
func (s *Store) BeatJob(ctx context.Context, j *proget.Job, ttl time.Duration, done, total int64, message string) error {
	err := s.claimed(ctx, "BeatJob", j,
		arg("ttl", ttl.Microseconds()), arg("done", done), arg("total", total), arg("message", message))
	if !errors.Is(err, proget.ErrStale) {
		return err
	}
	now, findErr := job(ctx, s.readVital, "FindJob", arg("job_id", j.ID))
	switch {
	case findErr == nil && now.State == proget.JobRunning && now.Attempt == j.Attempt && now.Canceling:
		return proget.Errorf(proget.ErrCanceled, "job %d was canceled", j.ID)
	case findErr == nil, errors.Is(findErr, proget.ErrNotFound):
		return err
	}
	return findErr // which of the two errors applies is unknown
}

// HoldJob locks a claim until the transaction ends. It returns proget.ErrStale if the
// claim is lost or the job was canceled, so that the transaction writes nothing.
func (tx *Tx) HoldJob(ctx context.Context, j *proget.Job) error {
	n, err := tx.run(ctx, "HoldJob", arg("job_id", j.ID), arg("attempt", j.Attempt))
	if err == nil && n == 0 {
		err = lost(j)
	}
	return err
}

func lost(j *proget.Job) error {
	return proget.Errorf(proget.ErrStale, "claim %d of job %d is lost", j.Attempt, j.ID)
}

// FinishJob ends a job in a final state, or returns proget.ErrStale if the claim is
// lost. It may be repeated.
func (s *Store) FinishJob(ctx context.Context, j *proget.Job, state proget.JobState, done, total int64, message string) error {
	err := s.claimed(ctx, "FinishJob", j,
		arg("state", string(state)), arg("message", message), arg("done", done), arg("total", total))
	if !errors.Is(err, proget.ErrStale) {
		return err
	}
	now, findErr := job(ctx, s.readVital, "FindJob", arg("job_id", j.ID))
	switch {
	case findErr == nil && now.Attempt == j.Attempt && now.State == state: // by an attempt whose answer was lost
		return nil
	case findErr == nil, errors.Is(findErr, proget.ErrNotFound):
		return err
	}
	return findErr // whether the claim is lost is unknown
}

// RetryJob puts a job back into the queue for after delay, or ends it if it was
// canceled, and counts a failure if failed is true. It returns proget.ErrStale if the
// claim is lost.
func (s *Store) RetryJob(ctx context.Context, j *proget.Job, delay time.Duration, failed bool, message string) error {
	state := proget.JobWaiting
	if delay > 0 {
		state = proget.JobDelayed
	}
	return s.claimed(ctx, "RetryJob", j, arg("state", string(state)),
		arg("delay", delay.Microseconds()), arg("failed", flag(failed)), arg("message", message))
}

func (s *Store) claimed(ctx context.Context, name string, j *proget.Job, more ...sql.NamedArg) error {
	named := append(more, arg("job_id", j.ID), arg("attempt", j.Attempt))
	n, err := run(ctx, s.writeVital, name, named...)
	if err == nil && n == 0 {
		err = lost(j)
	}
	return err
}

// CancelJob cancels a waiting job, or makes the worker of a running one stop at its
// next heartbeat. It returns proget.ErrNotFound if there is no such job and
// proget.ErrConflict if it has finished.
func (tx *Tx) CancelJob(ctx context.Context, id int64) error {
	for _, name := range []string{"CancelWaitingJob", "CancelRunningJob"} {
		if n, err := tx.run(ctx, name, arg("job_id", id)); err != nil || n > 0 {
			return err
		}
	}
	if err := tx.one(ctx, "FindJob", []sql.NamedArg{arg("job_id", id)}, jobFields(new(proget.JobStatus))...); err != nil {
		return err
	}
	return proget.Errorf(proget.ErrConflict, "Job %d is finished already.", id)
}

// StopJob cancels the job with a run key if it is running: it then writes nothing more
// under [Tx.HoldJob]. It does not affect a job that waits.
func (tx *Tx) StopJob(ctx context.Context, runKey string) error {
	_, err := tx.run(ctx, "StopJob", arg("run_key", runKey))
	return err
}

// FindJob returns a job, or proget.ErrNotFound.
func (s *Store) FindJob(ctx context.Context, id int64) (proget.JobStatus, error) {
	return job(ctx, s.read, "FindJob", arg("job_id", id))
}

// LastJob returns the newest job of a kind and argument, or proget.ErrNotFound.
func (s *Store) LastJob(ctx context.Context, kind, argument string) (proget.JobStatus, error) {
	return job(ctx, s.read, "FindLastJob", arg("kind", kind), arg("argument", argument))
}

func job(ctx context.Context, way runner, name string, named ...sql.NamedArg) (j proget.JobStatus, err error) {
	err = one(ctx, way, name, named, jobFields(&j)...)
	return j, err
}

// ListJobs returns up to limit jobs with ids below before, newest first; 0 begins with
// the newest.
func (s *Store) ListJobs(ctx context.Context, before int64, limit int) ([]proget.JobStatus, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	return list(ctx, s.read, "ListJobs", jobFields, arg("before", before), arg("limit", limit))
}

func jobFields(j *proget.JobStatus) []any {
	return []any{&j.ID, &j.Kind, &j.Argument, &j.State, &j.Attempt, &j.Failures, &j.MaxFailures, &j.Worker,
		&j.Done, &j.Total, &j.Message, &j.QueuedBy, &j.Canceling,
		(*instant)(&j.Created), (*instant)(&j.Started), (*instant)(&j.Finished), (*instant)(&j.Now)}
}

// LogJob adds lines to a job's log. The worker numbers the parts of an attempt, so that
// a part that is written twice appears once.
func (s *Store) LogJob(ctx context.Context, j *proget.Job, part int64, lines []string) error {
	_, err := run(ctx, s.writeVital, "InsertJobLog", arg("job_id", j.ID), arg("attempt", j.Attempt), arg("part", part),
		arg("lines", strings.Join(lines, "\n")))
	if errors.Is(err, proget.ErrConflict) {
		return nil
	}
	return err
}

// JobLog returns a job's log, oldest first.
func (s *Store) JobLog(ctx context.Context, id int64) ([]proget.JobLines, error) {
	type part struct {
		proget.JobLines
		text string
	}
	parts, err := list(ctx, s.read, "JobLog", func(p *part) []any {
		return []any{&p.Attempt, (*instant)(&p.Logged), &p.text}
	}, arg("job_id", id))
	var log []proget.JobLines
	for _, p := range parts {
		p.Lines = strings.Split(p.text, "\n")
		log = append(log, p.JobLines)
	}
	return log, err
}

// ReleaseDelayedJobs makes delayed jobs whose time has come available to ClaimJob, and
// returns how many there were.
func (tx *Tx) ReleaseDelayedJobs(ctx context.Context) (int64, error) {
	return tx.run(ctx, "ReleaseDelayedJobs")
}

// ReleaseExpiredJobs ends the claims that have expired: it puts their jobs back into
// the queue, or fails those that have failed too often, and ends those that were
// canceled. It returns how many there were. An expired claim is no failure if the work
// had not begun.
func (tx *Tx) ReleaseExpiredJobs(ctx context.Context) (int64, error) {
	return tx.run(ctx, "ReleaseExpiredJobs")
}

// DeleteFinishedJobs deletes jobs that ended longer ago than olderThan, and returns how
// many.
func (tx *Tx) DeleteFinishedJobs(ctx context.Context, olderThan time.Duration) (int64, error) {
	return tx.run(ctx, "DeleteFinishedJobs", arg("older_than", olderThan.Microseconds()))
}
