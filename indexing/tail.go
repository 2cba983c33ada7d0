package indexing

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/internal/tracing"
	"github.com/proget-go/ha/proget"
)

// A Log is what a Tail reads. *db.Store is one.
type Log interface {
	History

	// Stamp returns a value that differs after every commit, or false: as long as it
	// stays the same, the Tail need not ask the database.
	Stamp() (s driver.Stamp, ok bool)
	Heads(ctx context.Context) (map[int64]int64, error)
	// Breaks counts the events after which reads may see a database state without the
	// newest commits, as on another server. While it stays the same, nothing that was
	// read is undone.
	Breaks() int64
	// NewestEntries returns the newest entry of every feed, with at least its FeedID,
	// Seq and Operation; Seq is 0 for a feed without entries.
	NewestEntries(ctx context.Context) ([]proget.Entry, error)
	// Changes counts the entries that were, or may have been, appended through this
	// Log.
	Changes() int64
}

var _ Log = (*db.Store)(nil)

// A Subscriber learns of every entry of every feed, in each feed's order. What it keeps
// in memory must be current when Applied returns, which must not block.
type Subscriber interface {
	// Applied is called with the next entries of one feed, some of which it may have
	// seen before. If entries is nil, more has happened than is worth reading: the
	// subscriber must forget all that it knows of the feed.
	Applied(feedID int64, entries []proget.Entry)
}

// A Tail follows the logs of all feeds in this process. Sync makes reads linearizable:
// it returns once everything that was committed before the call has been applied to the
// subscribers.
//
// Concurrent calls share one question to the database: each waits for a question that
// is asked after the call, so the cost does not grow with the number of requests. If
// the engine can tell at no cost that there was no commit, no question is asked.
// SyncWithin is for readers that accept slightly older data.
type Tail struct {
	log         Log
	subscribers []Subscriber
	opts        TailOptions

	current atomic.Pointer[driver.Stamp] // what was applied is at least as new as this; nil: unknown
	newest  atomic.Pointer[answered]

	mu      sync.Mutex
	next    *question // will be asked next; nil if nobody waits
	running bool
	wakeup  chan struct{}
	heads   map[int64]int64 // applied positions
	losses  map[int64]int   // see Losses
	down    error           // of the newest question; nil if it succeeded
	asking  sync.WaitGroup

	operations map[int64]string // of the newest applied entries; "" if unknown. Used by the asker only, as is breaks
	breaks     int64            // the Log's count when the logs were last found to be unchanged
}

// TailOptions configure a Tail. The zero value is ready to use.
type TailOptions struct {
	// Timeout limits one question to the database. Default: 2 s.
	Timeout time.Duration

	// Backlog is the number of new entries of one feed above which subscribers forget
	// the feed instead of catching up. Default: 2000.
	Backlog int

	Logger *slog.Logger // default: slog.Default()
}

// answered describes the newest question that was answered.
type answered struct {
	asked   time.Time
	changes int64 // the Log's count at that time
}

type question struct {
	done chan struct{}
	err  error
}

// NewTail returns a Tail that has read nothing yet. opts may be nil.
func NewTail(log Log, opts *TailOptions, subscribers ...Subscriber) *Tail {
	t := &Tail{log: log, subscribers: subscribers, heads: make(map[int64]int64), losses: make(map[int64]int), wakeup: make(chan struct{}), operations: make(map[int64]string), breaks: -1}
	if opts != nil {
		t.opts = *opts
	}
	if t.opts.Timeout == 0 {
		t.opts.Timeout = 2 * time.Second
	}
	if t.opts.Backlog == 0 {
		t.opts.Backlog = 2000
	}
	if t.opts.Logger == nil {
		t.opts.Logger = slog.Default()
	}
	return t
}

// Sync waits until everything committed before the call is applied. An error means that
// the database did not answer and what is in memory may be stale. After a failed
// question, Sync returns its error almost at once until a question succeeds, so that
// readers that accept stale data need not wait. The caller that happens to ask for all
// waits for the answer even if its own ctx ends (for at most Timeout).
func (t *Tail) Sync(ctx context.Context) (err error) {
	if now, ok := t.log.Stamp(); ok {
		if applied := t.current.Load(); applied != nil && *applied == now {
			return nil
		}
	}
	ctx, end := tracing.Start(ctx, "sync")
	defer func() { end(err) }()
	q, first, down := t.join()
	var soon <-chan time.Time
	switch {
	case down != nil:
		soon = time.After(patienceWhenDown)
	case first:
		t.lead()
	}
	select {
	case <-q.done:
		return q.err
	case <-soon:
		return down
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// SyncWithin is Sync for readers that accept data as old as age: it does nothing if a
// question was asked within age and nothing has changed through this Log since; clients
// expect to see their own changes.
func (t *Tail) SyncWithin(ctx context.Context, age time.Duration) error {
	if a := t.newest.Load(); a != nil && time.Since(a.asked) < age && a.changes == t.log.Changes() {
		return nil
	}
	return t.Sync(ctx)
}

// patienceWhenDown is long enough for a question in progress to reach a database that
// has just returned.
const patienceWhenDown = 150 * time.Millisecond

// Close waits for a question in progress. Do not call Sync afterwards.
func (t *Tail) Close() { t.asking.Wait() }

// Applied returns the newest applied position of each feed. The caller must not modify
// the map.
func (t *Tail) Applied() map[int64]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heads // replaced, never changed
}

// Losses counts how often the subscribers have forgotten a feed, whose log may then be
// another one.
func (t *Tail) Losses(feedID int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.losses[feedID]
}

// Changed returns a channel that is closed when a position next changes.
func (t *Tail) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wakeup
}

// join returns the question that will be asked next, whether the caller must ask it by
// calling t.lead, and the error of the newest question.
func (t *Tail) join() (q *question, first bool, down error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		t.next = &question{done: make(chan struct{})}
	}
	if !t.running {
		t.running = true
		if first = t.down == nil; !first {
			t.asking.Go(t.ask)
		}
	}
	return t.next, first, t.down
}

// lead asks one question in the goroutine of the first caller, which saves starting
// another goroutine if there are few callers. For callers that come meanwhile, a new
// goroutine asks.
func (t *Tail) lead() {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.running = t.next != nil; t.running {
			t.asking.Go(t.ask)
		}
	}()
	t.answer(t.take())
}

// ask asks one question after another until nobody waits.
func (t *Tail) ask() {
	for q := t.take(); q != nil; q = t.take() {
		t.answer(q)
	}
}

// errUnanswered is the error of a question that ended in a panic. An HTTP server
// survives the panic, and the other callers must not wait forever.
var errUnanswered = errors.New("what is new could not be applied")

func (t *Tail) answer(q *question) {
	q.err = errUnanswered
	defer func() {
		t.mu.Lock()
		t.down = q.err
		t.mu.Unlock()
		close(q.done)
	}()
	q.err = t.catchUp()
}

// take returns the question to ask now. Later callers wait for the next one.
func (t *Tail) take() *question {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.next
	t.next, t.running = nil, q != nil
	return q
}

// catchUp works for all callers that wait, so none of their contexts ends it.
func (t *Tail) catchUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), t.opts.Timeout)
	defer cancel()
	stamp, stamped := t.log.Stamp() // before the question: later commits have another stamp
	question := &answered{time.Now(), t.log.Changes()}
	heads, newest, breaks, err := t.read(ctx)
	if err != nil {
		return err
	}
	operations := make(map[int64]string)
	for feed, head := range heads {
		applied, known := t.heads[feed]
		if known && head == applied && (newest == nil || newest[feed] == t.operations[feed]) {
			continue
		}
		if operations[feed], err = t.apply(ctx, feed, head, newest[feed]); err != nil {
			return err
		}
	}
	if len(operations) > 0 {
		t.advance(heads, operations)
	}
	t.breaks = breaks
	if stamped {
		t.current.Store(&stamp)
	}
	t.newest.Store(question)
	return nil
}

// read returns the heads of all feeds. After a failed question, and if other entries
// may have replaced the newest commits, it also returns the operations at the heads,
// because equal positions may then be those of other entries.
func (t *Tail) read(ctx context.Context) (heads map[int64]int64, operations map[int64]string, breaks int64, err error) {
	heads, err = t.log.Heads(ctx)
	breaks = t.log.Breaks() // includes breaks during the question
	if err != nil || t.down == nil && breaks == t.breaks {
		return heads, nil, breaks, err
	}
	entries, err := t.log.NewestEntries(ctx)
	heads, operations = make(map[int64]int64, len(entries)), make(map[int64]string, len(entries))
	for _, e := range entries {
		heads[e.FeedID], operations[e.FeedID] = e.Seq, e.Operation
	}
	return heads, operations, breaks, err
}

func (t *Tail) forget(feed int64) {
	for _, s := range t.subscribers {
		s.Applied(feed, nil)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.losses[feed]++ // last: whoever sees it finds nothing that was to be forgotten
}

// apply brings the subscribers to a feed's head, whose operation may be known, and
// returns that operation, or "" if it is still unknown: the feed is then forgotten
// again at its next entry.
func (t *Tail) apply(ctx context.Context, feed, head int64, operation string) (string, error) {
	applied, known := t.heads[feed]
	if !known {
		t.forget(feed)
		return operation, nil
	}
	if head <= applied || head-applied > int64(t.opts.Backlog) {
		t.opts.Logger.Info("the feed has changed a lot, or has another log; reading all of it again", "feed", feed, "applied", applied, "head", head)
		t.forget(feed)
		return operation, nil
	}
	from := max(applied-1, 0) // include the entry at the applied position, if there is one
	entries, err := Entries(ctx, t.log, feed, from, t.opts.Backlog+1)
	compacted := errors.Is(err, db.ErrCompacted)
	if err != nil && !compacted {
		return "", err
	}
	if compacted || entries[len(entries)-1].Seq < head { // the latter if a replica lags: trust nothing
		t.forget(feed)
		return operation, nil
	}
	operation = entries[head-from-1].Operation
	if applied > 0 {
		if entries[0].Operation != t.operations[feed] { // the applied entry was lost
			t.forget(feed)
			return operation, nil
		}
		entries = entries[1:]
	}
	for _, s := range t.subscribers {
		s.Applied(feed, entries)
	}
	return operation, nil
}

func (t *Tail) advance(heads map[int64]int64, operations map[int64]string) {
	maps.Copy(t.operations, operations)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heads = heads
	close(t.wakeup)
	t.wakeup = make(chan struct{})
}
