package proget

import "time"

// A Job is a piece of background work that one worker holds at a time.
type Job struct {
	ID          int64
	Kind        string
	Argument    string // defined by the kind, often JSON
	Attempt     int64  // the claim number: 1 for the first worker
	Failures    int64  // how many earlier attempts failed; postponing the job is not a failure
	MaxFailures int64  // the job is given up after so many failures
}

// A JobState is the stage that a job has reached.
type JobState string

// The states of a job.
const (
	JobWaiting  JobState = "waiting"
	JobDelayed  JobState = "delayed" // waits for its scheduled time
	JobRunning  JobState = "running"
	JobDone     JobState = "done"
	JobFailed   JobState = "failed"
	JobCanceled JobState = "canceled"
)

// JobStatus is a job as a person sees it.
type JobStatus struct {
	Job
	State     JobState
	Worker    string // the node that holds the job or held it last
	Done      int64  // units of work finished, of Total; Total is 0 while unknown
	Total     int64
	Message   string // the newest progress message or the error
	QueuedBy  string // who queued the job
	Canceling bool   // its worker has been asked to stop
	Created   time.Time
	Started   time.Time // when the newest attempt started; zero if it has not
	Finished  time.Time // zero if it is not finished
	Now       time.Time // the database's time when the status was read
}

// Live reports whether the job has not finished yet.
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

// Remaining estimates how much longer a running job takes. It returns 0 if there is no
// basis for an estimate.
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
