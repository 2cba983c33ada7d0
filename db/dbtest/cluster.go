package dbtest

import (
	"fmt"
	"math"
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
	require.ErrorIs(t, move(1, 3), db.ErrMoved)
	require.ErrorIs(t, move(0, 3), db.ErrMoved, "a follower that starts anew does not count twice")
	require.NoError(t, move(2, 3))
	stats, err := s.ListFeedStats(ctx)
	require.NoError(t, err)
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 3, Bytes: 300}, stats[id])
	positions, err := s.FollowerPositions(ctx, "stats")
	require.NoError(t, err)
	require.Equal(t, map[int64]int64{id: 3}, positions)
}

// testCompaction: the log loses its oldest entries, never one in the middle, and
// followers can tell.
func testCompaction(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	newFeed(t, s, "silent")
	id := newFeed(t, s, "main")
	for n := range 5 {
		_, err := publish(ctx, s, id, fmt.Sprint(n), version(n))
		require.NoError(t, err)
	}
	ranges := func() (of db.LogRange) {
		all, err := s.LogRanges(ctx)
		require.NoError(t, err)
		for _, r := range all {
			if r.FeedID == id {
				of = r
			}
		}
		return of
	}
	require.Equal(t, db.LogRange{FeedID: id, First: 1, Last: 5, Slowest: 5}, ranges())
	for name, at := range map[string]int64{"one": 3, "two": 4} {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.MoveFollower(ctx, name, id, 0, at) }))
	}
	require.Equal(t, db.LogRange{FeedID: id, First: 1, Last: 5, Slowest: 3}, ranges())
	next, err := s.CompactLog(ctx, id, 1, 3, time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 1, next, "they are young")
	next, err = s.CompactLog(ctx, id, 1, 3, -time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 4, next)
	require.Equal(t, db.LogRange{FeedID: id, First: 4, Last: 5, Slowest: 3}, ranges())
	entries, err := s.LogAfter(ctx, id, 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.NotEmpty(t, entries[0].Operation)
	require.NotEqual(t, entries[0].Operation, entries[1].Operation)

	add := func(after, upto int64) error {
		return s.Tx(ctx, func(tx *db.Tx) error { return tx.AddFeedStats(ctx, id, after, upto) })
	}
	require.ErrorIs(t, add(2, 5), db.ErrCompacted)
	require.NoError(t, add(3, 5))
	var head int64
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) (err error) {
		head, err = tx.RecountFeed(ctx, id)
		return err
	}))
	require.EqualValues(t, 5, head)
	stats, err := s.ListFeedStats(ctx)
	require.NoError(t, err)
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 5, Bytes: 500}, stats[id])
	next, err = s.CompactLog(ctx, id, 4, 5, -time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 6, next)
	require.Zero(t, ranges(), "an empty log is no range")
	seq, err := publish(ctx, s, id, "more", version(6))
	require.NoError(t, err)
	require.EqualValues(t, 6, seq)
}

func testSettings(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	for _, value := range []string{"one", "two"} {
		require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.SetSetting(ctx, "name", value) }))
	}
	all, err := s.Settings(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"name": "two"}, all)
	require.ErrorIs(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.AddSetting(ctx, "name", "three") }), proget.ErrConflict)
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
	for instance, want := range map[string]bool{"i1": false, "i2": true} {
		listed, err := s.RenewNode(ctx, db.Node{Name: "web-1", Instance: instance, Details: `{"b":2}`})
		require.NoError(t, err)
		require.Equal(t, want, listed, instance)
	}
	nodes, err = s.ListNodes(ctx)
	require.NoError(t, err)
	require.Equal(t, `{"b":2}`, nodes[0].Details)
	require.True(t, began.Equal(nodes[0].Started))
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
	ok, err = s.RenewLease(ctx, "indexing", again, time.Minute)
	require.NoError(t, err)
	require.False(t, ok, "released")
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
	ok, err = s.RenewLease(ctx, "indexing", fourth, -time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = s.RenewLease(ctx, "indexing", fourth, time.Minute)
	require.NoError(t, err)
	require.False(t, ok, "it has run out")
	_, _, err = s.AcquireLease(ctx, db.LeaseRequest{Office: "indexing", Holder: "d", Term: "t8", TTL: time.Minute, Above: math.MaxInt64})
	require.ErrorIs(t, err, proget.ErrInvalid, "there is no greater number")
	fifth, ok := ask("d", "t9", db.LeaseRequest{})
	require.True(t, ok)
	require.Equal(t, fourth.Number+1, fifth.Number)
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

func testTerms(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	tx := func(fn func(tx *db.Tx) error) { require.NoError(t, s.Tx(ctx, fn)) }
	for n, holder := range []string{"a", "b"} {
		f := proget.Fence{Number: int64(n + 1), Term: holder}
		for range 2 { // a commit whose outcome was lost is repeated
			tx(func(tx *db.Tx) error { return tx.BeginTerm(ctx, "indexing", f, holder) })
		}
		tx(func(tx *db.Tx) error { return tx.KeepTerm(ctx, "indexing", f) })
	}
	terms, err := s.Terms(ctx, "indexing", time.Hour)
	require.NoError(t, err)
	require.Len(t, terms, 2)
	require.Equal(t, "a", terms[0].Holder)
	require.EqualValues(t, 2, terms[1].Fence)
	require.False(t, terms[1].Seen.Before(terms[1].Began))
	require.WithinDuration(t, terms[1].Seen, terms[1].Now, time.Minute)
	tx(func(tx *db.Tx) error { return tx.DeleteOldTerms(ctx, -time.Minute) })
	terms, err = s.Terms(ctx, "indexing", time.Hour)
	require.NoError(t, err)
	require.Empty(t, terms)
}
