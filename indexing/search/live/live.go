package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/snapshot"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/feed"
)

const (
	indexWaits    = time.Second      // how long a query waits for the index to reach what is committed
	databaseWaits = 10 * time.Second // how long a search by the database may take
	maxFiltered   = 1000             // packages examined for filters that the database does not support
	maxParts      = 5                // words of a query that the database searches for
)

// An Index is a node's search index, kept current by Run. While a feed's part is being
// built, searches in that feed are answered from the database, slower and by name only.
type Index struct {
	cfg   Config
	types map[string]*feed.Type

	mu       sync.Mutex
	targets  map[int64]int64        // each feed's head when this node first saw the feed
	foreign  map[int64]*proget.Feed // feeds of types that this node does not know
	setbacks map[int64]setback      // feeds whose index fails

	behind atomic.Bool   // the index may be incomplete
	hurry  chan struct{} // has a value while somebody waits for the index

	// Used by CatchUp, of which one runs at a time.
	fetched  time.Time     // when a snapshot was last asked for
	familiar map[int64]int // the feed's losses when the index last matched its log and the present Summary
}

// Config says what an Index follows and where it finds what it indexes. All fields are
// required.
type Config struct {
	Index   search.Index
	DB      *db.Store
	Tail    *indexing.Tail
	Catalog *catalog.Catalog // a subscriber of Tail
	Types   []feed.Type
	Shelf   *snapshot.Shelf // where snapshots are kept; used if Index is a snapshot.Index
	Dir     string          // a folder for snapshots on their way, which need not exist
	Logger  *slog.Logger
}

// New returns an index that follows nothing yet: Run does.
func New(cfg Config) *Index {
	x := &Index{cfg: cfg, types: make(map[string]*feed.Type), targets: make(map[int64]int64),
		setbacks: make(map[int64]setback), familiar: make(map[int64]int), hurry: make(chan struct{}, 1)}
	x.behind.Store(true)
	for i := range cfg.Types {
		x.types[cfg.Types[i].Name] = &cfg.Types[i]
	}
	return x
}

// Search implements feed.Search. It waits up to a second for the index to apply what
// was committed before the request.
func (x *Index) Search(ctx context.Context, f *proget.Feed, q feed.Query) (feed.Hits, error) {
	asked := search.Query{FeedID: f.ID, Text: q.Text, NamePrefix: q.NamePrefix, Type: q.Type, Tag: q.Tag,
		Prerelease: q.Prerelease, Old: q.Old, Skip: q.Skip, Take: q.Take}.Bounded()
	if !x.complete(f.ID) {
		return x.askDatabase(ctx, f, asked)
	}
	x.await(ctx, f.ID, x.cfg.Tail.Applied()[f.ID])
	hits, err := x.cfg.Index.Search(ctx, asked)
	if errors.Is(err, search.ErrRebuilding) {
		x.cfg.Logger.WarnContext(ctx, "the search index is damaged and is being rebuilt", "error", err)
	}
	if errors.Is(err, search.ErrRebuilding) || err == nil && !x.complete(f.ID) { // the index may have been lost after complete looked at it
		x.behind.Store(true)
		return x.askDatabase(ctx, f, asked)
	}
	return feed.Hits{Total: hits.Total, Keys: hits.Keys}, err
}

// complete reports whether the index contains at least what the feed had when this node
// first saw it.
func (x *Index) complete(feedID int64) bool {
	position, _ := x.cfg.Index.Position(feedID)
	head, known := x.cfg.Tail.Applied()[feedID]
	if !known {
		return position > 0 // the database does not answer
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	target, seen := x.targets[feedID]
	if !seen || target > head { // or the log has lost its newest entries
		target = head
		x.targets[feedID] = head
	}
	return position >= target && position <= head && (position > 0 || head == 0)
}

// await waits for the index to reach what is committed, unless the index of the feed
// has failed lately.
func (x *Index) await(ctx context.Context, feedID, head int64) {
	if x.resting(feedID) {
		return
	}
	timeout := time.NewTimer(indexWaits)
	defer timeout.Stop()
	for {
		position, moved := x.cfg.Index.Position(feedID)
		if position >= head {
			return
		}
		select {
		case x.hurry <- struct{}{}:
		default:
		}
		select {
		case <-moved:
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Lag returns how many log entries the index has yet to apply.
func (x *Index) Lag() (total int64) {
	x.mu.Lock()
	foreign := x.foreign
	x.mu.Unlock()
	for id, head := range x.cfg.Tail.Applied() {
		if id != proget.SystemFeed && foreign[id] == nil {
			position, _ := x.cfg.Index.Position(id)
			total += max(head-max(position, 0), 0)
		}
	}
	return total
}
