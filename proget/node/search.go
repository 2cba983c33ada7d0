package node

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const (
	indexWaits    = time.Second      // how long a query waits for the index to reach what is committed
	databaseWaits = 10 * time.Second // how long a search by the database may take
	maxFiltered   = 1000             // packages examined for filters that the database does not support
	maxParts      = 5                // words of a query that the database searches for
)

// searcher keeps the node's search index current and answers queries from it. While the
// index is being built, it answers from the database, slower and by name only.
type searcher struct {
	node  *Node
	types map[string]*feed.Type

	mu       sync.Mutex
	targets  map[int64]int64        // each feed's head when this node first saw the feed
	foreign  map[int64]*proget.Feed // feeds of types that this node does not know
	setbacks map[int64]setback      // feeds whose index fails
	behind   atomic.Bool            // the index may be incomplete
	fetched  time.Time              // when this node last asked for a snapshot
	lost     map[int64]int          // how often the tail had to forget each feed, whose log may now be another
	familiar map[int64]int          // the value of lost when the index last matched the feed's log and the present Summary; used by run only
	hurry    chan struct{}          // has a value while somebody waits for the index
}

func newSearcher(n *Node) *searcher {
	s := &searcher{node: n, types: make(map[string]*feed.Type), targets: make(map[int64]int64), setbacks: make(map[int64]setback), lost: make(map[int64]int), familiar: make(map[int64]int), hurry: make(chan struct{}, 1)}
	s.behind.Store(true)
	for i := range n.cfg.Feeds {
		s.types[n.cfg.Feeds[i].Name] = &n.cfg.Feeds[i]
	}
	return s
}

// Applied implements indexing.Subscriber. It marks a feed whose log may be another one,
// so that run checks it again even if the index is at its head.
func (s *searcher) Applied(feedID int64, entries []proget.Entry) {
	if entries != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[feedID]++
}

// losses returns how often a feed's log may have been replaced by another.
func (s *searcher) losses(feedID int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[feedID]
}

// knows reports whether this process has found the index to match the feed's present
// log.
func (s *searcher) knows(feedID int64) bool {
	losses, ok := s.familiar[feedID]
	return ok && losses == s.losses(feedID)
}

// Search implements feed.Search. It waits up to a second for the index to apply what
// was committed before the request.
func (s *searcher) Search(ctx context.Context, f *proget.Feed, q feed.Query) (feed.Hits, error) {
	asked := search.Query{FeedID: f.ID, Text: q.Text, NamePrefix: q.NamePrefix, Type: q.Type, Tag: q.Tag,
		Prerelease: q.Prerelease, Old: q.Old, Skip: q.Skip, Take: q.Take}.Bounded()
	if !s.complete(f.ID) {
		return s.askDatabase(ctx, f, asked)
	}
	s.await(ctx, f.ID, s.node.tail.Applied()[f.ID])
	hits, err := s.node.index.Search(ctx, asked)
	if errors.Is(err, search.ErrRebuilding) {
		s.node.cfg.Logger.WarnContext(ctx, "the search index is damaged and is built anew", "error", err)
	}
	if errors.Is(err, search.ErrRebuilding) || err == nil && !s.complete(f.ID) { // the index may have been lost after complete looked at it
		s.behind.Store(true)
		return s.askDatabase(ctx, f, asked)
	}
	return feed.Hits{Total: hits.Total, Keys: hits.Keys}, err
}

// complete reports whether the index contains at least what the feed had when this node
// first saw it.
func (s *searcher) complete(feedID int64) bool {
	position, _ := s.node.index.Position(feedID)
	head, known := s.node.tail.Applied()[feedID]
	if !known {
		return position > 0 // the database does not answer
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	target, seen := s.targets[feedID]
	if !seen || target > head { // or the log has lost its newest entries
		target = head
		s.targets[feedID] = head
	}
	return position >= target && position <= head && (position > 0 || head == 0)
}

// await waits for the index to reach what is committed, unless the index of the feed
// has failed lately.
func (s *searcher) await(ctx context.Context, feedID, head int64) {
	if s.resting(feedID) {
		return
	}
	timeout := time.NewTimer(indexWaits)
	defer timeout.Stop()
	for {
		position, moved := s.node.index.Position(feedID)
		if position >= head {
			return
		}
		select {
		case s.hurry <- struct{}{}:
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

// lag returns how many log entries the index has yet to apply.
func (s *searcher) lag() (total int64) {
	s.mu.Lock()
	foreign := s.foreign
	s.mu.Unlock()
	for id, head := range s.node.tail.Applied() {
		if id != proget.SystemFeed && foreign[id] == nil {
			position, _ := s.node.index.Position(id)
			total += max(head-max(position, 0), 0)
		}
	}
	return total
}

// askDatabase searches the packages' keys: it finds those that contain the words in
// their order, the whole name first. If the text has no words, it finds the whole name
// only. It applies filters that need a package's content to the first maxFiltered
// packages.
func (s *searcher) askDatabase(ctx context.Context, f *proget.Feed, q search.Query) (feed.Hits, error) {
	if header, ok := ctx.Value(headerKey{}).(http.Header); ok {
		header.Add("Warning", `199 proget "Search answered from the database"`)
	}
	ctx, cancel := context.WithTimeout(ctx, databaseWaits)
	defer cancel()
	asked := db.PackageQuery{FeedID: f.ID, Prefix: strings.ToLower(q.NamePrefix), Exact: strings.ToLower(strings.TrimSpace(q.Text)),
		Prerelease: q.Prerelease, Skip: q.Skip, Limit: q.Take}
	runs := search.Runs(q.Text)
	for _, run := range runs[:min(len(runs), maxParts)] {
		asked.Parts = append(asked.Parts, run.Word)
	}
	if asked.Whole = asked.Exact != "" && len(runs) == 0; asked.Whole && !strings.HasPrefix(asked.Exact, asked.Prefix) {
		return feed.Hits{}, nil
	}
	filtered := q.Type != "" || q.Tag != "" || q.Old
	if filtered {
		asked.Skip, asked.Limit = 0, maxFiltered
	}
	keys, total, err := s.node.cfg.DB.FindPackages(ctx, asked)
	if err != nil || !filtered {
		return feed.Hits{Total: total, Keys: keys}, err
	}
	return s.filter(ctx, f, q, keys)
}

func (s *searcher) filter(ctx context.Context, f *proget.Feed, q search.Query, keys []string) (feed.Hits, error) {
	var found []string
	for _, key := range keys {
		d, err := s.document(ctx, f, key)
		if err != nil {
			return feed.Hits{}, err
		}
		if d != nil && d.Visible(q.Prerelease, q.Old) && has(d.Types, q.Type) && has(d.Tags, q.Tag) {
			found = append(found, key)
		}
	}
	page := found[min(q.Skip, len(found)):]
	return feed.Hits{Total: len(found), Keys: page[:min(q.Take, len(page))]}, nil
}

func has(list []string, want string) bool {
	return want == "" || slices.ContainsFunc(list, func(each string) bool { return strings.EqualFold(each, want) })
}

// headerKey is the context key of the response's header.
type headerKey struct{}

// admit gives searches access to the response's header while the index may be
// incomplete, so that they can state there that the database answered.
func (s *searcher) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.behind.Load() {
			next.ServeHTTP(w, r)
			return
		}
		told := r.WithContext(context.WithValue(r.Context(), headerKey{}, w.Header()))
		next.ServeHTTP(w, told)
		r.Pattern = told.Pattern // traces are named after the pattern
	})
}
