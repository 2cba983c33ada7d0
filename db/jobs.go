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

// A NewJob is a job to be queued.
type NewJob struct {
	Kind        string
	Argument    string
	Lane        string        // jobs of one lane share a limit of how many a node works at once
	RunKey      string        // at most one unfinished job has it; "" for none
	Priority    int64         // smaller is sooner
	Delay       time.Duration // before it may start; the primary notices that it is over
	MaxFailures int64         // after which it is given up; 0 means 10
	QueuedBy    string        // who wants it
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

// defaultFailures is after how many failures a job is given up.
const defaultFailures = 10

// Enqueue queues a job in the transaction that makes it necessary. It returns
// proget.ErrConflict, as the transaction's error, if an unfinished job has the
// same run key.
func (tx *Tx) Enqueue(ctx context.Context, j NewJob) error {
	_, err := tx.run(ctx, "InsertJob", j.args()...)
	return err
}

// EnqueueOnce queues a job unless an unfinished one has the same run key.
func (tx *Tx) EnqueueOnce(ctx context.Context, j NewJob) error {
	return tx.insert(ctx, "InsertJobOnce", j.args()...)
}

// ClaimJob takes the next job of a lane, or returns nil. The claim must be
// renewed with BeatJob before ttl has passed: the job of a worker that fell
// silent is put back by ReleaseExpiredJobs and claimed under a greater number.
//
// The worker calls BeatJob before it begins, too. A claim whose answer was lost is
// nobody's, and a repetition takes another job: that it runs out without a heartbeat
// is no failure of its job. The repetitions end while there is time left to begin.
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

// BeatJob renews a claim and records progress; the first says that the work begins. It returns proget.ErrStale if
// the claim is lost, and proget.ErrCanceled if the job is to be given up.
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
	return findErr // nobody can tell which of the two it is
}

// HoldJob keeps a claim as it is until the transaction ends, or returns
// proget.ErrStale if it is lost or the job is to be given up: what the
// transaction writes is then not written.
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

// FinishJob ends a job in one of the final states, or returns proget.ErrStale
// if the claim is lost.
func (s *Store) FinishJob(ctx context.Context, j *proget.Job, state proget.JobState, done, total int64, message string) error {
	return s.claimed(ctx, "FinishJob", j,
		arg("state", string(state)), arg("message", message), arg("done", done), arg("total", total))
}

// RetryJob puts a job back into the queue, unless it is to be given up, and
// counts a failure or not.
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

// CancelJob gives a waiting job up, or has the worker of a running one stop with
// its next heartbeat. It returns proget.ErrNotFound or, for a job that is
// finished, proget.ErrConflict.
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

// StopJob gives up the job with a run key, if it is under way: it writes nothing
// more under [Tx.HoldJob]. One that waits is left to run.
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

// ListJobs returns the newest jobs older than one of them, newest first; 0 begins
// with the newest of all.
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

// LogJob adds lines to a job's log. Parts are numbered by the attempt that
// writes them, so that one which is written twice is there once.
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

// ReleaseDelayedJobs lets jobs be claimed whose time has come, and returns how
// many there were.
func (tx *Tx) ReleaseDelayedJobs(ctx context.Context) (int64, error) {
	return tx.run(ctx, "ReleaseDelayedJobs")
}

// ReleaseExpiredJobs puts jobs back whose claim ran out, or fails them if that
// was one failure too many, and returns how many there were. It is no failure where the
// work had not begun.
func (tx *Tx) ReleaseExpiredJobs(ctx context.Context) (int64, error) {
	return tx.run(ctx, "ReleaseExpiredJobs")
}

// DeleteFinishedJobs forgets jobs that ended longer ago than the given age.
func (tx *Tx) DeleteFinishedJobs(ctx context.Context, olderThan time.Duration) (int64, error) {
	return tx.run(ctx, "DeleteFinishedJobs", arg("older_than", olderThan.Microseconds()))
}
