package dbtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

func testFollower(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	id := newFeed(t, s, "main")
	for n := range 3 {
		_, err := publish(ctx, s, id, fmt.Sprint(n), version(n))
		require.NoError(t, err)
	}
	move := func(from, to int64) error {
		return s.Tx(ctx, func(tx *db.Tx) error {
			if err := tx.MoveFollower(ctx, "stats", id, from, to); err != nil {
				return err
			}
			return tx.AddFeedStats(ctx, id, from, to)
		})
	}
	require.NoError(t, move(0, 2))
	require.ErrorIs(t, move(1, 3), proget.ErrStale)
	require.Error(t, move(0, 3), "a follower that starts anew does not count twice")
	require.NoError(t, move(2, 3))
	stats, err := s.ListFeedStats(ctx)
	require.NoError(t, err)
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 3, Bytes: 300}, stats[id])
	positions, err := s.FollowerPositions(ctx, "stats")
	require.NoError(t, err)
	require.Equal(t, map[int64]int64{id: 3}, positions)
}

func testSettings(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	for _, value := range []string{"one", "two"} {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.SetSetting(ctx, "name", value) }))
	}
	all, err := s.Settings(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"name": "two"}, all)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		_, ok, err := tx.Setting(ctx, "other")
		require.False(t, ok)
		return err
	}))
}

func testNodes(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	began := time.UnixMicro(1_234_567).UTC()
	require.NoError(t, s.BeatNode(ctx, db.Node{Name: "web-1", Instance: "i1", Started: began, Details: "{}"}))
	require.NoError(t, s.BeatNode(ctx, db.Node{Name: "web-1", Instance: "i2", Started: began, Details: `{"a":1}`}))
	nodes, err := s.ListNodes(ctx)
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	require.Equal(t, `{"a":1}`, nodes[0].Details)
	require.Equal(t, "i2", nodes[0].Instance)
	require.True(t, began.Equal(nodes[0].Started))
	require.Less(t, nodes[0].Age, time.Minute)
	remove := func(olderThan time.Duration) error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.RemoveNode(ctx, "web-1", olderThan) })
	}
	require.ErrorIs(t, remove(time.Hour), proget.ErrConflict, "alive")
	require.NoError(t, remove(-time.Hour))
	nodes, err = s.ListNodes(ctx)
	require.NoError(t, err)
	require.Empty(t, nodes)

	require.NoError(t, s.BeatNode(ctx, db.Node{Name: "web-1", Instance: "i3", Details: "{}"}))
	left, err := s.LeaveNode(ctx, "web-1", "i2")
	require.NoError(t, err)
	require.False(t, left, "another process goes by the name")
	left, err = s.LeaveNode(ctx, "web-1", "i3")
	require.NoError(t, err)
	require.True(t, left)
	nodes, err = s.ListNodes(ctx)
	require.NoError(t, err)
	require.Empty(t, nodes)
}

// testDeadlock: two transactions that take two rows in opposite orders both
// succeed: one of them is told to try again, and its caller does not notice.
func testDeadlock(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		if err := tx.SetSetting(ctx, "a", "0"); err != nil {
			return err
		}
		return tx.SetSetting(ctx, "b", "0")
	}))
	var waiting sync.WaitGroup
	waiting.Add(2)
	both := make(chan struct{})
	go func() { waiting.Wait(); close(both) }()
	cross := func(first, second, value string) error {
		met := false
		return s.Tx(ctx, func(tx *db.Tx) error {
			if err := tx.SetSetting(ctx, first, value); err != nil {
				return err
			}
			if !met {
				met = true
				waiting.Done()
				select {
				case <-both:
				case <-time.After(time.Second): // an engine with one writer never lets the other come so far
				}
			}
			return tx.SetSetting(ctx, second, value)
		})
	}
	var crossing errgroup.Group
	crossing.Go(func() error { return cross("a", "b", "1") })
	crossing.Go(func() error { return cross("b", "a", "2") })
	require.NoError(t, crossing.Wait())
	all, err := s.Settings(ctx)
	require.NoError(t, err)
	require.Equal(t, all["a"], all["b"], "one transaction came after the other")
}

func testLease(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	ask := func(holder, term string, r db.LeaseRequest) (proget.Fence, bool) {
		r.Office, r.Holder, r.Address, r.Term, r.TTL = "indexing", holder, "at "+holder, term, time.Minute
		f, ok, err := s.AcquireLease(ctx, r)
		require.NoError(t, err)
		return f, ok
	}
	first, ok := ask("a", "t1", db.LeaseRequest{})
	require.True(t, ok)
	_, ok = ask("b", "t2", db.LeaseRequest{})
	require.False(t, ok, "held")
	again, ok := ask("a", "t3", db.LeaseRequest{})
	require.True(t, ok, "the same candidate, who did not get the answer")
	require.Greater(t, again.Number, first.Number)
	ok, err := s.RenewLease(ctx, "indexing", first, time.Minute)
	require.NoError(t, err)
	require.False(t, ok, "superseded")
	require.NoError(t, s.ReleaseLease(ctx, "indexing", first))
	l, err := s.CurrentLease(ctx, "indexing")
	require.NoError(t, err)
	require.InDelta(t, time.Minute, l.Remaining, float64(30*time.Second))
	require.Equal(t, db.Lease{Holder: "a", Address: "at a", Fence: again, Remaining: l.Remaining}, l)
	require.NoError(t, s.ReleaseLease(ctx, "indexing", again))
	_, err = s.CurrentLease(ctx, "indexing")
	require.ErrorIs(t, err, proget.ErrNotFound)
	third, ok := ask("b", "t4", db.LeaseRequest{})
	require.True(t, ok)
	require.Greater(t, third.Number, again.Number, "numbers grow across a release")

	_, ok = ask("c", "t5", db.LeaseRequest{Over: again})
	require.False(t, ok, "another term than the present one is over")
	_, ok = ask("c", "t6", db.LeaseRequest{Over: proget.Fence{Number: third.Number, Term: "another"}})
	require.False(t, ok, "the same number of another term")
	fourth, ok := ask("c", "t7", db.LeaseRequest{Over: third, Above: 1 << 52})
	require.True(t, ok, "the present term is over")
	require.Greater(t, fourth.Number, int64(1<<52))
}

func testFence(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	write := func(number int64, term string) error {
		return s.LeaderTx(ctx, "indexing", proget.Fence{Number: number, Term: term}, func(tx *db.Tx) error {
			return tx.SetSetting(ctx, "written by", fmt.Sprint(number, term))
		})
	}
	require.NoError(t, write(1, "a"))
	require.NoError(t, write(1, "a"))
	require.ErrorIs(t, write(1, "b"), proget.ErrStale, "the same number, handed out again")
	require.NoError(t, write(3, "c"))
	require.ErrorIs(t, write(2, "d"), proget.ErrStale)
	seen, err := s.SeenFence(ctx, "indexing")
	require.NoError(t, err)
	require.EqualValues(t, 3, seen)
	seen, err = s.SeenFence(ctx, "another office")
	require.NoError(t, err)
	require.Zero(t, seen)
	all, err := s.Settings(ctx)
	require.NoError(t, err)
	require.Equal(t, "3c", all["written by"])
}

func testJobs(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	enqueue := func(j db.NewJob) error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, j) })
	}
	require.NoError(t, enqueue(db.NewJob{Kind: "later", Delay: time.Hour}))
	require.NoError(t, enqueue(db.NewJob{Kind: "second", Priority: 5}))
	require.NoError(t, enqueue(db.NewJob{Kind: "first", RunKey: "only one", MaxFailures: 2}))
	require.ErrorIs(t, enqueue(db.NewJob{Kind: "first", RunKey: "only one"}), proget.ErrConflict)

	claim := func() *proget.Job {
		j, err := s.ClaimJob(ctx, "w", time.Minute)
		require.NoError(t, err)
		return j
	}
	j := claim()
	require.Equal(t, "first", j.Kind)
	require.NoError(t, s.BeatJob(ctx, j, -time.Minute, 1, 2, "half way")) // a claim that has run out
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.ReleaseExpiredJobs(ctx)
		require.EqualValues(t, 1, n)
		return err
	}))
	again := claim()
	require.Equal(t, j.ID, again.ID)
	require.EqualValues(t, 2, again.Attempt)
	require.EqualValues(t, 1, again.Failures, "falling silent is one")
	require.ErrorIs(t, s.FinishJob(ctx, j, proget.JobDone, 2, 2, ""), proget.ErrStale, "the first claim is lost")
	require.NoError(t, s.RetryJob(ctx, again, 0, false, "snoozed"))
	again = claim()
	require.EqualValues(t, 3, again.Attempt)
	require.EqualValues(t, 1, again.Failures, "putting it off is none")
	require.EqualValues(t, 2, again.MaxFailures)
	require.NoError(t, s.FinishJob(ctx, again, proget.JobDone, 2, 2, "all well"))
	require.NoError(t, enqueue(db.NewJob{Kind: "first", RunKey: "only one", Priority: 9}), "the run key is free again")

	require.Equal(t, "second", claim().Kind)
	jobs, err := s.ListJobs(ctx, 2)
	require.NoError(t, err)
	require.Len(t, jobs, 2)
	jobs, err = s.ListJobs(ctx, 100)
	require.NoError(t, err)
	require.Len(t, jobs, 4)
	require.Equal(t, proget.JobDone, jobs[1].State)
	require.Equal(t, "all well", jobs[1].Message)
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.DeleteFinishedJobs(ctx, -time.Minute)
		require.EqualValues(t, 1, n)
		return err
	}))
}

// testClaimOnce: many claimers get every job exactly once.
func testClaimOnce(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	const jobs = 40
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
		for range jobs {
			if err := tx.Enqueue(ctx, db.NewJob{Kind: "k"}); err != nil {
				return err
			}
		}
		return nil
	}))
	var mu sync.Mutex
	claimed := make(map[int64]int)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for misses := 0; misses < 3; { // a claimer may pass over a row that another is just taking
				j, err := s.ClaimJob(ctx, fmt.Sprint("w", w), time.Minute)
				require.NoError(t, err)
				if j == nil {
					misses++
					continue
				}
				mu.Lock()
				claimed[j.ID]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Len(t, claimed, jobs)
	for id, n := range claimed {
		require.Equal(t, 1, n, "job %d", id)
	}
}

// testDueJobs: what is done now and then is queued once, and again when it is
// time.
func testDueJobs(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	queued := func(argument string, every time.Duration) int {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error {
			return tx.EnqueueDue(ctx, db.NewJob{Kind: "clean", Argument: argument, RunKey: "clean" + argument}, every)
		}))
		jobs, err := s.ListJobs(ctx, 100)
		require.NoError(t, err)
		return len(jobs)
	}
	require.Equal(t, 1, queued("", time.Hour))
	require.Equal(t, 1, queued("", -time.Hour), "one is unfinished")
	require.Equal(t, 2, queued("other", time.Hour))
	j, err := s.ClaimJob(ctx, "w", time.Minute)
	require.NoError(t, err)
	require.NoError(t, s.FinishJob(ctx, j, proget.JobDone, 1, 1, ""))
	require.Equal(t, 2, queued("", time.Hour), "one was done a moment ago")
	require.Equal(t, 3, queued("", -time.Hour))
}
