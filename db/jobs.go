package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/proget-go/ha/proget"
)

// A NewJob is a job to be queued.
type NewJob struct {
	Kind        string
	Argument    string
	RunKey      string        // at most one unfinished job has it; "" for none
	Priority    int64         // smaller is sooner
	Delay       time.Duration // before it may start
	MaxFailures int64         // after which it is given up; 0 means 10
}

// Enqueue queues a job in the transaction that makes it necessary. It returns
// proget.ErrConflict, as the transaction's error, if an unfinished job has the
// same run key.
func (tx *Tx) Enqueue(ctx context.Context, j NewJob) error {
	_, err := tx.run(ctx, "InsertJob", arg("kind", j.Kind), arg("argument", j.Argument),
		arg("run_key", sql.NullString{String: j.RunKey, Valid: j.RunKey != ""}),
		arg("priority", j.Priority), arg("delay", j.Delay.Microseconds()), arg("max_failures", cmp.Or(j.MaxFailures, defaultFailures)))
	return err
}

// EnqueueDue queues a job unless one of its run key is unfinished, or one of its
// kind and argument was queued within the time every.
func (tx *Tx) EnqueueDue(ctx context.Context, j NewJob, every time.Duration) error {
	_, err := tx.run(ctx, "InsertDueJob", arg("kind", j.Kind), arg("argument", j.Argument), arg("run_key", j.RunKey),
		arg("priority", j.Priority), arg("max_failures", cmp.Or(j.MaxFailures, defaultFailures)), arg("every", every.Microseconds()))
	return err
}

// defaultFailures is after how many failures a job is given up.
const defaultFailures = 10

// ClaimJob takes the next job that is due, or returns nil. The claim must be
// renewed with BeatJob before ttl has passed: the job of a worker that fell
// silent is put back by ReleaseExpiredJobs and claimed under a greater number.
func (s *Store) ClaimJob(ctx context.Context, worker string, ttl time.Duration) (*proget.Job, error) {
	var j proget.Job
	err := s.write(ctx, func(c *conn) error {
		return c.one(ctx, "ClaimJob", []sql.NamedArg{arg("worker", worker), arg("ttl", ttl.Microseconds())},
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

// BeatJob renews a claim and records progress. It returns proget.ErrStale if
// the claim is lost.
func (s *Store) BeatJob(ctx context.Context, j *proget.Job, ttl time.Duration, done, total int64, message string) error {
	return s.claimed(ctx, "BeatJob", j,
		arg("ttl", ttl.Microseconds()), arg("done", done), arg("total", total), arg("message", message))
}

// FinishJob ends a job in one of the final states, or returns proget.ErrStale
// if the claim is lost.
func (s *Store) FinishJob(ctx context.Context, j *proget.Job, state proget.JobState, done, total int64, message string) error {
	return s.claimed(ctx, "FinishJob", j,
		arg("state", string(state)), arg("message", message), arg("done", done), arg("total", total))
}

// RetryJob puts a job back into the queue, and counts a failure or not.
func (s *Store) RetryJob(ctx context.Context, j *proget.Job, delay time.Duration, failed bool, message string) error {
	return s.claimed(ctx, "RetryJob", j,
		arg("delay", delay.Microseconds()), arg("failed", flag(failed)), arg("message", message))
}

func (s *Store) claimed(ctx context.Context, name string, j *proget.Job, more ...sql.NamedArg) error {
	named := append(more, arg("job_id", j.ID), arg("attempt", j.Attempt))
	var n int64
	err := s.on(ctx, s.pools.Write, vital, func(c *conn) (err error) {
		n, err = c.run(ctx, name, named...)
		return err
	})
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrStale, "claim %d of job %d is lost", j.Attempt, j.ID)
	}
	return err
}

// ListJobs returns the newest jobs, newest first.
func (s *Store) ListJobs(ctx context.Context, limit int) ([]proget.JobStatus, error) {
	var jobs []proget.JobStatus
	err := s.read(ctx, func(c *conn) error {
		jobs = nil
		return c.each(ctx, "ListJobs", []sql.NamedArg{arg("limit", limit)}, func(rows *sql.Rows) error {
			var j proget.JobStatus
			var created, started, finished int64
			err := rows.Scan(&j.ID, &j.Kind, &j.Argument, &j.State, &j.Attempt, &j.Worker,
				&j.Done, &j.Total, &j.Message, &created, &started, &finished)
			j.Created = fromMicros(created)
			if started > 0 {
				j.Started = fromMicros(started)
			}
			if finished > 0 {
				j.Finished = fromMicros(finished)
			}
			jobs = append(jobs, j)
			return err
		})
	})
	return jobs, err
}

// ReleaseExpiredJobs puts jobs back whose claim ran out, or fails them if that
// was one failure too many, and returns how many there were.
func (tx *Tx) ReleaseExpiredJobs(ctx context.Context) (int64, error) {
	return tx.run(ctx, "ReleaseExpiredJobs")
}

// DeleteFinishedJobs forgets jobs that ended longer ago than the given age.
func (tx *Tx) DeleteFinishedJobs(ctx context.Context, olderThan time.Duration) (int64, error) {
	return tx.run(ctx, "DeleteFinishedJobs", arg("older_than", olderThan.Microseconds()))
}
