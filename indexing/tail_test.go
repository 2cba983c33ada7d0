package indexing_test

import (
	"context"
	"errors"
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
	asked     atomic.Int64
	changes   atomic.Int64
}

func (l *memLog) Changes() int64 { return l.changes.Load() }

func (l *memLog) append(feed int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[feed]++
	return l.heads[feed]
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
		entries = append(entries, proget.Entry{FeedID: feed, Seq: seq})
	}
	return entries, nil
}

// recorder remembers the newest position it was told of; forgotten counts.
type recorder struct {
	mu        sync.Mutex
	seq       map[int64]int64
	forgotten int
}

func (r *recorder) Applied(feed int64, entries []proget.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if entries == nil {
		r.forgotten++
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
	log.mu.Lock()
	log.err = nil
	log.mu.Unlock()
	require.Eventually(t, func() bool { return tail.Sync(t.Context()) == nil }, 5*time.Second, time.Millisecond)
}
