package repoindex

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

// An Index describes how the index of a feed is built.
type Index struct {
	Kind  string        // equal for all feeds of a type: "catalog"
	Every time.Duration // minimum time between two generations; all changes in between go into one

	// Build returns the generation that includes the changes, or nil if they do not
	// concern the index. It returns [ErrRebuild] if it cannot continue from the present
	// generation.
	Build func(ctx context.Context, b *Build) (*Generation, error)
}

// ErrRebuild means that an index must be rebuilt from the present content of its feed.
var ErrRebuild = errors.New("the index must be rebuilt")

// maxEntries is the maximum number of changes in one generation.
const maxEntries = 500

// A Build is the step from one generation to the next.
type Build struct {
	Feed  *proget.Feed
	State string // of the present generation; "" if the index begins anew

	// Entries are the feed's next changes, at most 500. If there are none, the index is
	// being rebuilt from what the feed contains, and this may be one of several parts:
	// see Generation.More.
	Entries []proget.Entry

	// Read returns the content of a present file of the index.
	Read func(name string) ([]byte, error)
}

// An Indexer keeps one kind of index current for all feeds that have it.
type Indexer struct {
	*Files
	index    Index
	follower indexing.Follower // without Rebuild, which needs the positions of each call
	feeds    func(ctx context.Context) ([]*proget.Feed, error)

	mu    sync.Mutex
	built map[int64]time.Time // when this process last stored a generation of each feed's index, perhaps in vain
}

// NewIndexer returns an indexer that the leader of an office runs. feeds must return
// the feeds that have the index.
func NewIndexer(files *Files, office string, index Index, feeds func(ctx context.Context) ([]*proget.Feed, error)) *Indexer {
	x := &Indexer{Files: files, index: index, feeds: feeds, built: make(map[int64]time.Time)}
	x.follower = indexing.Follower{Name: "index " + index.Kind, DB: files.db, Office: office, Follow: x.follow}
	return x
}

// Name returns the indexer's name for logs.
func (x *Indexer) Name() string { return x.follower.Name }

// CatchUp brings the indexes of all feeds up to the given positions; see
// [indexing.Follower.CatchUp]. What Build reads of the feeds must be at least as new.
func (x *Indexer) CatchUp(ctx context.Context, fence proget.Fence, heads map[int64]int64) error {
	feeds, err := x.feeds(ctx)
	if err != nil {
		return err
	}
	due := make(map[int64]int64)
	for _, f := range feeds {
		if head, ok := heads[f.ID]; ok && x.due(f.ID) {
			due[f.ID] = head
		}
	}
	follower := x.follower
	follower.Rebuild = func(ctx context.Context, feedID, position int64) (indexing.Effect, error) {
		return x.rebuild(ctx, feedID, position, due[feedID])
	}
	return follower.CatchUp(ctx, fence, due)
}

func (x *Indexer) due(feedID int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Since(x.built[feedID]) >= x.index.Every
}

// saved is what the database stores as an index's state.
type saved struct {
	State string `json:"state"`

	// Rebuilding means that a rebuild is in progress, which will include the log's
	// entries up to From.
	Rebuilding bool  `json:"rebuilding,omitempty"`
	From       int64 `json:"from,omitempty"`
}

func (x *Indexer) load(ctx context.Context, feedID int64) (generation int64, s saved, err error) {
	head, err := x.db.FindIndex(ctx, feedID, x.index.Kind)
	if err != nil || head.Generation == 0 {
		return 0, s, err
	}
	if err := json.Unmarshal([]byte(head.State), &s); err != nil {
		return 0, s, fmt.Errorf("read the state of index %s: %w", x.index.Kind, err)
	}
	return head.Generation, s, nil
}

func (x *Indexer) follow(ctx context.Context, feedID, after, upto int64) (indexing.Effect, error) {
	generation, s, err := x.load(ctx, feedID)
	if err != nil {
		return nil, err
	}
	if s.Rebuilding || generation == 0 {
		return nil, db.ErrCompacted
	}
	entries, err := indexing.Entries(ctx, x.db, feedID, after, int(min(upto-after, maxEntries)))
	if err != nil {
		return nil, err
	}
	last := entries[len(entries)-1].Seq
	next, err := x.build(ctx, feedID, s.State, entries)
	if errors.Is(err, ErrRebuild) {
		return nil, fmt.Errorf("%w: %w", db.ErrCompacted, err)
	}
	if err != nil {
		return nil, err
	}
	if next == nil {
		return func(context.Context, *db.Tx) (int64, error) { return last, nil }, nil
	}
	return x.effect(ctx, feedID, generation, next, saved{State: next.State}, last)
}

// rebuild continues or begins a rebuild, which includes the log's entries up to head.
// It must not ask for a newer head: the data that it reads of the feed may be as old as
// this one, even if a former leader, which read newer data, began the rebuild.
func (x *Indexer) rebuild(ctx context.Context, feedID, position, head int64) (indexing.Effect, error) {
	generation, s, err := x.load(ctx, feedID)
	if err != nil {
		return nil, err
	}
	begins := !s.Rebuilding
	var next *Generation
	if !begins {
		s.From = min(s.From, head)
		next, err = x.build(ctx, feedID, s.State, nil)
		begins = errors.Is(err, ErrRebuild) // what was built so far cannot be continued
	}
	if begins {
		s = saved{Rebuilding: true, From: head}
		next, err = x.build(ctx, feedID, "", nil)
	}
	if err != nil {
		return nil, err
	}
	if next == nil {
		next = new(Generation)
	}
	next.All = begins
	upto := position
	if s.State = next.State; !next.More {
		s, upto = saved{State: next.State}, s.From
	}
	return x.effect(ctx, feedID, generation, next, s, upto)
}

func (x *Indexer) build(ctx context.Context, feedID int64, state string, entries []proget.Entry) (*Generation, error) {
	f, err := x.feed(ctx, feedID)
	if err != nil {
		return nil, err
	}
	next, err := x.index.Build(ctx, &Build{Feed: f, State: state, Entries: entries, Read: func(name string) ([]byte, error) {
		return x.Read(ctx, feedID, x.index.Kind, name)
	}})
	if err != nil {
		return nil, fmt.Errorf("build index %s of feed %s: %w", x.index.Kind, f.Name, err)
	}
	return next, nil
}

func (x *Indexer) feed(ctx context.Context, id int64) (*proget.Feed, error) {
	feeds, err := x.feeds(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range feeds {
		if f.ID == id {
			return f, nil
		}
	}
	return nil, proget.Errorf(proget.ErrNotFound, "The feed has been deleted.")
}

// effect stores a generation and returns the effect that makes it the present one.
func (x *Indexer) effect(ctx context.Context, feedID, generation int64, next *Generation, s saved, upto int64) (indexing.Effect, error) {
	state, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	next.State = string(state)
	sw, err := x.Store(ctx, feedID, x.index.Kind, generation, next)
	x.rest(feedID)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, tx *db.Tx) (int64, error) {
		return upto, tx.SwitchIndex(ctx, sw)
	}, nil
}

// rest begins the waiting time before the feed's next generation.
func (x *Indexer) rest(feedID int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.built[feedID] = time.Now()
}
