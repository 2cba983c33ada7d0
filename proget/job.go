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
	JobRunning  JobState = "running"
	JobDone     JobState = "done"
	JobFailed   JobState = "failed"
	JobCanceled JobState = "canceled"
)

// JobStatus is a job as a person sees it.
type JobStatus struct {
	Job
	State    JobState
	Worker   string // the node that holds or last held it
	Done     int64  // units of work finished, of Total; Total is 0 while unknown
	Total    int64
	Message  string // the newest progress message or the error
	Created  time.Time
	Started  time.Time // zero if it never ran
	Finished time.Time // zero if it is not finished
}
