package proget

import "time"

// A Job is a piece of background work that one worker holds at a time.
type Job struct {
	ID          int64
	Kind        string
	Argument    string // the kind's own, often JSON
	Attempt     int64  // the claim number: 1 for the first worker
	Failures    int64  // of the attempts before this one; putting the job off is none
	MaxFailures int64  // after which it is given up
}

// A JobState is where a job is on its way.
type JobState string

// The states of a job.
const (
	JobWaiting  JobState = "waiting"
	JobDelayed  JobState = "delayed" // waiting for its time
	JobRunning  JobState = "running"
	JobDone     JobState = "done"
	JobFailed   JobState = "failed"
	JobCanceled JobState = "canceled"
)

// JobStatus is a job as a person sees it.
type JobStatus struct {
	Job
	State     JobState
	Worker    string // the node that holds or last held it
	Done      int64  // units of work finished, of Total; Total is 0 while unknown
	Total     int64
	Message   string // the newest progress message or the error
	QueuedBy  string // who wanted it
	Canceling bool   // its worker has been asked to stop
	Created   time.Time
	Started   time.Time // of the newest attempt; zero if that has not begun
	Finished  time.Time // zero if it is not finished
	Now       time.Time // the database's clock when it was asked
}

// Live reports whether the job is yet to be finished.
func (j *JobStatus) Live() bool {
	return j.State == JobWaiting || j.State == JobDelayed || j.State == JobRunning
}

// Duration returns how long the newest attempt took, or has taken so far.
func (j *JobStatus) Duration() time.Duration {
	switch {
	case j.Started.IsZero():
		return 0
	case j.Live():
		return j.Now.Sub(j.Started)
	}
	return max(j.Finished.Sub(j.Started), 0)
}

// Remaining estimates how much longer a running job takes, or returns 0 if that
// cannot be told.
func (j *JobStatus) Remaining() time.Duration {
	if j.State != JobRunning || j.Done <= 0 || j.Total <= 0 {
		return 0
	}
	return time.Duration(float64(j.Duration()) / float64(j.Done) * float64(max(j.Total-j.Done, 0)))
}

// JobLines are lines of a job's log that were written together.
type JobLines struct {
	Attempt int64
	Logged  time.Time
	Lines   []string
}
