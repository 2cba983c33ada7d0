package indexing_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

// memLog is a log in memory whose questions can be held up.
type memLog struct {
	mu        sync.Mutex
	heads     map[int64]int64
	compacted int64 // entries up to here are gone
	err       error
	delay     time.Duration
	lost      map[entry]int // how often entries were lost with the server, and others came in their place
	asked     atomic.Int64
	compared  atomic.Int64
	changes   atomic.Int64
	breaks    atomic.Int64
}

// entry is a place in a log.
type entry struct{ feed, seq int64 }

// lose puts another entry in the place of the newest one, as a server may have it that
// never got that.
func (l *memLog) lose(feed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost[entry{feed, l.heads[feed]}]++
}

// at is the entry at a place.
func (l *memLog) at(feed, seq int64) proget.Entry {
	return proget.Entry{FeedID: feed, Seq: seq, Operation: fmt.Sprint(feed, seq, l.lost[entry{feed, seq}])}
}

func (l *memLog) Breaks() int64 { return l.breaks.Load() }

func (l *memLog) NewestEntries(context.Context) (newest []proget.Entry, err error) {
	l.compared.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	for feed, head := range l.heads {
		newest = append(newest, l.at(feed, head))
	}
	return newest, l.err
}

func (l *memLog) Changes() int64 { return l.changes.Load() }

func (l *memLog) append(feed int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[feed]++
	return l.heads[feed]
}

func (l *memLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (*memLog) Stamp() (s driver.Stamp, ok bool) { return s, false }

func (l *memLog) Heads(ctx context.Context) (map[int64]int64, error) {
	l.asked.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	heads := make(map[int64]int64)
	for feed, head := range l.heads {
		heads[feed] = head
	}
	time.Sleep(l.delay)
	return heads, nil
}

func (l *memLog) LogAfter(_ context.Context, feed, after int64, limit int) ([]proget.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var entries []proget.Entry
	for seq := max(after, l.compacted) + 1; seq <= l.heads[feed] && len(entries) < limit; seq++ {
		entries = append(entries, l.at(feed, seq))
	}
	return entries, nil
}

// recorder remembers the newest position it was told of; forgotten counts.
type recorder struct {
	mu        sync.Mutex
	seq       map[int64]int64
	forgotten int
	forgets   func(feed int64) // called while it forgets
}

func (r *recorder) Applied(feed int64, entries []proget.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if entries == nil {
		r.forgotten++
		if r.forgets != nil {
			r.forgets(feed)
		}
		return
	}
	r.seq[feed] = entries[len(entries)-1].Seq
}

func (r *recorder) at(feed int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq[feed]
}

func TestSyncSeesWhatWasCommittedBefore(t *testing.T) {
	t.Parallel()
	log := &memLog{heads: map[int64]int64{1: 0}}
	seen := &recorder{seq: make(map[int64]int64)}
	tail := indexing.NewTail(log, nil, seen)
	defer tail.Close()
	require.NoError(t, tail.Sync(t.Context()))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				seq := log.append(1)
				require.NoError(t, tail.Sync(t.Context()))
				require.GreaterOrEqual(t, seen.at(1), seq)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 800, tail.Applied()[1])
}

func TestQuestionsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{heads: map[int64]int64{1: 0}, delay: 10 * time.Millisecond}
		tail := indexing.NewTail(log, nil)
		var all sync.WaitGroup
		for range 256 {
			all.Go(func() {
				for range 4 {
					require.NoError(t, tail.Sync(context.Background()))
				}
			})
		}
		all.Wait()
		tail.Close()
		require.LessOrEqual(t, log.asked.Load(), int64(10), "256 readers asked 1024 times in all")
	})
}

// TestStaleness: who can live with what is some seconds old asks only when it is
// older, or when something was changed here since the question was asked.
func TestStaleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{heads: map[int64]int64{1: 0}}
		tail := indexing.NewTail(log, nil)
		defer tail.Close()
		read := func() int64 {
			require.NoError(t, tail.SyncWithin(t.Context(), 5*time.Second))
			return tail.Applied()[1]
		}
		require.Zero(t, read())
		require.EqualValues(t, 1, log.asked.Load())
		log.append(1)
		time.Sleep(4 * time.Second)
		require.Zero(t, read(), "still young enough")
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 1, read(), "too old")
		log.append(1)
		log.changes.Add(1)
		require.EqualValues(t, 2, read(), "changed here")
		log.append(1)
		require.EqualValues(t, 2, read(), "asked since")
		require.EqualValues(t, 3, log.asked.Load())

		log.delay = 2 * time.Second // the next question is answered late
		time.Sleep(6 * time.Second)
		go func() {
			time.Sleep(time.Second)
			log.changes.Add(1)
		}()
		require.EqualValues(t, 3, read())
		log.append(1)
		require.EqualValues(t, 4, read(), "changed here after it was asked")
		require.EqualValues(t, 5, log.asked.Load())
	})
}

func TestCompactedLogIsForgotten(t *testing.T) {
	t.Parallel()
	log := &memLog{heads: map[int64]int64{1: 5}}
	seen := &recorder{seq: make(map[int64]int64)}
	tail := indexing.NewTail(log, &indexing.TailOptions{Backlog: 3}, seen)
	defer tail.Close()
	require.NoError(t, tail.Sync(t.Context()))
	require.Equal(t, 1, seen.forgotten, "a feed met for the first time")
	for range 4 {
		log.append(1)
	}
	require.NoError(t, tail.Sync(t.Context()))
	require.Equal(t, 2, seen.forgotten, "more than the backlog")
	log.append(1)
	log.append(1)
	log.compacted = 10
	require.NoError(t, tail.Sync(t.Context()))
	require.Equal(t, 3, seen.forgotten, "a gap")
	require.EqualValues(t, 11, tail.Applied()[1])
}

func TestOutageIsToldAtOnce(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	log := &memLog{heads: map[int64]int64{1: 0}, err: down}
	tail := indexing.NewTail(log, nil)
	defer tail.Close()
	require.ErrorIs(t, tail.Sync(t.Context()), down)
	log.fail(nil)
	require.Eventually(t, func() bool { return tail.Sync(t.Context()) == nil }, 5*time.Second, time.Millisecond)
}

// TestLostEntries: a server that takes over may lack the newest entries, and have others
// in their place, whatever their number. What is known of the feed is forgotten.
func TestLostEntries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		came   int // entries in the place of the lost one and after it
		notice func(log *memLog, tail *indexing.Tail)
	}{
		"one in its place, after a break": {1, func(log *memLog, _ *indexing.Tail) { log.breaks.Add(1) }},
		"one in its place, after a question that failed": {1, func(log *memLog, tail *indexing.Tail) {
			log.fail(errors.New("away"))
			require.Error(t, tail.Sync(t.Context()))
			log.fail(nil)
		}},
		"more":                {3, func(*memLog, *indexing.Tail) {}},
		"more, after a break": {3, func(log *memLog, _ *indexing.Tail) { log.breaks.Add(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &memLog{heads: map[int64]int64{1: 0, 2: 5}, lost: make(map[entry]int)}
			seen := &recorder{seq: make(map[int64]int64)}
			tail := indexing.NewTail(log, nil, seen)
			defer tail.Close()
			require.NoError(t, tail.Sync(t.Context()))
			log.append(1)
			log.append(1)
			require.NoError(t, tail.Sync(t.Context()))
			require.EqualValues(t, 2, seen.at(1))
			forgotten, losses, others := seen.forgotten, tail.Losses(1), tail.Losses(2)
			seen.forgets = func(feed int64) { require.Equal(t, losses, tail.Losses(feed), "counted once it is forgotten") }

			log.lose(1)
			for range c.came - 1 {
				log.append(1)
			}
			c.notice(log, tail)
			require.Eventually(t, func() bool { return tail.Sync(t.Context()) == nil }, 5*time.Second, time.Millisecond)
			require.Equal(t, forgotten+1, seen.forgotten, "only the feed whose entry was lost")
			require.EqualValues(t, 1+c.came, tail.Applied()[1])

			seq := log.append(1)
			require.NoError(t, tail.Sync(t.Context()))
			require.Equal(t, seq, seen.at(1), "from there on its entries are applied again")
			require.Equal(t, forgotten+1, seen.forgotten)
			require.Equal(t, losses+1, tail.Losses(1))
			require.Equal(t, others, tail.Losses(2))
		})
	}
}

// TestLogsAreComparedOnce: while nothing breaks, a question is for the heads alone.
func TestLogsAreComparedOnce(t *testing.T) {
	t.Parallel()
	log := &memLog{heads: map[int64]int64{1: 3}}
	tail := indexing.NewTail(log, nil)
	defer tail.Close()
	sync := func() {
		for range 5 {
			log.append(1)
			require.NoError(t, tail.Sync(t.Context()))
			require.NoError(t, tail.Sync(t.Context()))
		}
	}
	sync()
	require.EqualValues(t, 1, log.compared.Load())
	log.breaks.Add(1)
	sync()
	require.EqualValues(t, 2, log.compared.Load())
}
