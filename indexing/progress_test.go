package indexing_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	finish := make(chan struct{})
	runPool(t, s, "a", func(_ context.Context, _ *proget.Job, p *indexing.Progress) error {
		p.Set(3, 7, "the third of seven")
		<-finish
		p.Set(7, 7, "all")
		return nil
	})
	require.Eventually(t, func() bool {
		j := awaitState(t, s, proget.JobRunning)
		return j.Done == 3 && j.Total == 7 && j.Message == "the third of seven"
	}, waitLong, waitShort)
	close(finish)
	j := awaitState(t, s, proget.JobDone)
	require.EqualValues(t, 7, j.Done)
}

// TestAnyBytes: what a job says may quote anything; it is written as text, and keeps
// neither the claim nor the log nor the job's end from being written.
func TestAnyBytes(t *testing.T) {
	t.Parallel()
	unreadable := errors.New("cannot read \xff\x00")
	for name, c := range map[string]struct {
		max   int64
		end   error
		state proget.JobState
		want  string
	}{
		"done":        {1, nil, proget.JobDone, "read \uFFFD\uFFFD"},
		"failed":      {1, unreadable, proget.JobFailed, "cannot read \uFFFD\uFFFD"},
		"given up":    {5, indexing.GiveUp(unreadable), proget.JobFailed, "cannot read \uFFFD\uFFFD"},
		"tried again": {2, unreadable, proget.JobDelayed, "cannot read \uFFFD\uFFFD"},
		"long":        {1, errors.New("\xff" + strings.Repeat("é", 5000)), proget.JobFailed, "\uFFFDéé"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			require.NoError(t, enqueue(t, s, db.NewJob{MaxFailures: c.max}))
			seen := make(chan struct{})
			runPool(t, s, "a", func(ctx context.Context, j *proget.Job, p *indexing.Progress) error {
				p.Set(1, 2, "read \xff\x00")
				p.Log("line \xff\x00")
				select {
				case <-seen:
					return c.end
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			require.Eventually(t, func() bool {
				j := awaitState(t, s, proget.JobRunning)
				return j.Message == "read \uFFFD\uFFFD" && slices.Contains(jobLog(t, s), "line \uFFFD\uFFFD")
			}, waitLong, waitShort)
			close(seen)
			j := awaitState(t, s, c.state)
			require.Contains(t, j.Message, c.want)
			require.Less(t, len(j.Message), 2100)
			require.EqualValues(t, 1, j.Attempt)
		})
	}
}

// jobLog returns the lines of the newest job's log.
func jobLog(t *testing.T, s *db.Store) (all []string) {
	t.Helper()
	jobs, err := s.ListJobs(t.Context(), 0, 1)
	require.NoError(t, err)
	log, err := s.JobLog(t.Context(), jobs[0].ID)
	require.NoError(t, err)
	for _, l := range log {
		all = append(all, l.Lines...)
	}
	return all
}

// forgetful is a database whose answers to log lines get lost every other time.
type forgetful struct {
	indexing.Jobs
	calls atomic.Int64
}

func (f *forgetful) LogJob(ctx context.Context, j *proget.Job, part int64, lines []string) error {
	err := f.Jobs.LogJob(ctx, j, part, lines)
	if f.calls.Add(1)%2 == 1 {
		return errors.New("the answer was lost")
	}
	return err
}

// TestJobLog: what a job says can be read while it runs, each line once and in
// order, also if answers are lost.
func TestJobLog(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	read := make(chan struct{})
	runPool(t, &forgetful{Jobs: s}, "a", func(ctx context.Context, j *proget.Job, p *indexing.Progress) error {
		for n := range 5 {
			p.Log("step %d\nof many", n)
			select {
			case <-time.After(70 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		<-read
		p.Log("%s", strings.Repeat("x", 5000))
		for range 3000 {
			p.Log("chatter")
		}
		return indexing.GiveUp(errors.New("enough"))
	})
	require.NoError(t, enqueue(t, s, db.NewJob{}))
	lines := func() []string { return jobLog(t, s) }
	want := []string{"Attempt 1 started on server a.", "step 0 of many", "step 1 of many", "step 2 of many", "step 3 of many", "step 4 of many"}
	require.Eventually(t, func() bool { return len(lines()) == len(want) }, waitLong, waitShort)
	require.Equal(t, want, lines())
	close(read)
	require.Eventually(t, func() bool {
		jobs, err := s.ListJobs(t.Context(), 0, 1)
		require.NoError(t, err)
		return (!jobs[0].Live() || jobs[0].Attempt > 1) && len(lines()) > len(want) // a busy machine may cost it its claim
	}, waitLong, waitShort)
	all := lines()
	require.LessOrEqual(t, len(all), 2002)
	require.Less(t, len(all[6]), 2100)
}
