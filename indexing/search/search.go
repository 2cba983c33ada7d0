// Package search finds packages by text. An [Index] is derived data of one
// node: it is kept current by following the feeds' logs, remembers in itself
// how far it has come, and may be deleted at any time.
//
// Free text is answered by bleve. Exact names, prefixes and the plain list come
// from a sorted table in memory, which is some hundred times quicker for them.
package search

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/tidwall/btree"
)

// format is the version of what is written; an index of another one is built
// anew.
const format = "2"

// MaxTake bounds the hits of one query, and skip and take together maxWindow.
const (
	MaxTake   = 1000
	maxWindow = 10_000
)

// A Document is what is known of a package.
type Document struct {
	Key         string // the name's normal form
	Name        string
	Title       string
	Description string
	Authors     string
	Tags        []string
	Stable      bool // has a listed stable version; else it has listed prereleases only
}

// A Change is a document's new state. A nil Document removes it.
type Change struct {
	Key      string
	Document *Document
}

// A Query asks for packages of one feed.
type Query struct {
	FeedID     int64
	Text       string
	NamePrefix string
	Prerelease bool
	Skip, Take int
}

// Hits is one page of an answer.
type Hits struct {
	Total int
	Keys  []string
}

// An Index is safe for concurrent use, with one writer at a time.
type Index struct {
	text bleve.Index

	mu        sync.RWMutex
	names     *btree.BTreeG[name]
	counts    map[int64]counts
	positions map[int64]int64
	moved     chan struct{}
}

type name struct {
	feed   int64
	key    string
	stable bool
}

type counts struct{ all, stable int }

func less(a, b name) bool {
	return cmp.Or(cmp.Compare(a.feed, b.feed), strings.Compare(a.key, b.key)) < 0
}

// Open opens the index in a folder of this process's own, or makes a new one
// there if there is none that can be used.
func Open(dir string) (*Index, error) {
	path := filepath.Join(dir, "search-"+format)
	config := map[string]any{"bolt_timeout": "2s"}
	text, err := bleve.OpenUsing(path, config)
	if err != nil {
		if strings.Contains(err.Error(), "timeout") {
			return nil, fmt.Errorf("open the search index: another process uses %s; give each node on a machine its own name", path)
		}
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("remove an unusable search index: %w", err)
		}
		if text, err = bleve.NewUsing(path, newMapping(), scorch.Name, scorch.Name, config); err != nil {
			return nil, fmt.Errorf("create the search index: %w", err)
		}
	}
	x := &Index{
		text:  text,
		names: btree.NewBTreeG(less), counts: make(map[int64]counts),
		positions: make(map[int64]int64), moved: make(chan struct{}),
	}
	if err := x.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the search index: %w", err), text.Close())
	}
	return x, nil
}

// Close closes the index.
func (x *Index) Close() error { return x.text.Close() }

// Document ids are "feed/s/key" for packages with a stable version, else
// "feed/p/key", so that the sorted table can be read back from the ids alone.
func documentID(feed int64, key string, stable bool) string {
	kind := "p"
	if stable {
		kind = "s"
	}
	return strconv.FormatInt(feed, 10) + "/" + kind + "/" + key
}

func parseID(id string) (name, error) {
	feed, rest, ok := strings.Cut(id, "/")
	n, err := strconv.ParseInt(feed, 10, 64)
	if !ok || err != nil || len(rest) < 2 {
		return name{}, fmt.Errorf("document id %q is not one of this package's", id)
	}
	return name{feed: n, key: rest[2:], stable: rest[0] == 's'}, nil
}

const positionPrefix = "position/"

// load fills the table and the positions from the text index.
func (x *Index) load() error {
	advanced, err := x.text.Advanced()
	if err != nil {
		return err
	}
	reader, err := advanced.Reader()
	if err != nil {
		return err
	}
	defer reader.Close()
	ids, err := reader.DocIDReaderAll()
	if err != nil {
		return err
	}
	defer ids.Close()
	for internal, err := ids.Next(); internal != nil || err != nil; internal, err = ids.Next() {
		if err != nil {
			return err
		}
		id, err := reader.ExternalID(internal)
		if err != nil {
			return err
		}
		n, err := parseID(id)
		if err != nil {
			return err
		}
		x.set(n)
		if _, known := x.positions[n.feed]; !known {
			if err := x.loadPosition(n.feed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *Index) loadPosition(feed int64) error {
	raw, err := x.text.GetInternal(positionKey(feed))
	if err == nil && len(raw) == 8 {
		x.positions[feed] = int64(binary.BigEndian.Uint64(raw))
	}
	return err
}

func positionKey(feed int64) []byte {
	return []byte(positionPrefix + strconv.FormatInt(feed, 10))
}

// set enters a name into the table.
func (x *Index) set(n name) {
	x.remove(n.feed, n.key)
	x.names.Set(n)
	x.count(n, 1)
}

func (x *Index) remove(feed int64, key string) {
	if old, ok := x.names.Delete(name{feed: feed, key: key}); ok {
		x.count(old, -1)
	}
}

func (x *Index) count(n name, by int) {
	c := x.counts[n.feed]
	c.all += by
	if n.stable {
		c.stable += by
	}
	x.counts[n.feed] = c
}

// Position returns how far into a feed's log the index has come, and a channel
// that is closed when that changes for any feed.
func (x *Index) Position(feed int64) (int64, <-chan struct{}) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.positions[feed], x.moved
}

// Update applies changes of one feed and moves its position, both or neither.
func (x *Index) Update(feed int64, changes []Change, position int64) error {
	batch := x.text.NewBatch()
	for _, c := range changes {
		batch.Delete(documentID(feed, c.Key, true))
		batch.Delete(documentID(feed, c.Key, false))
		if c.Document == nil {
			continue
		}
		if err := batch.Index(documentID(feed, c.Key, c.Document.Stable), newFields(feed, c.Document)); err != nil {
			return fmt.Errorf("index %s: %w", c.Key, err)
		}
	}
	batch.SetInternal(positionKey(feed), binary.BigEndian.AppendUint64(nil, uint64(position)))
	if err := x.text.Batch(batch); err != nil {
		return fmt.Errorf("write the search index: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range changes {
		if c.Document == nil {
			x.remove(feed, c.Key)
		} else {
			x.set(name{feed, c.Key, c.Document.Stable})
		}
	}
	x.positions[feed] = position
	close(x.moved)
	x.moved = make(chan struct{})
	return nil
}

// Search answers a query.
func (x *Index) Search(ctx context.Context, q Query) (Hits, error) {
	if q.Take <= 0 {
		q.Take = 20
	}
	q.Take = min(q.Take, MaxTake)
	q.Skip = max(q.Skip, 0)
	if strings.TrimSpace(q.Text) == "" {
		return x.list(q), nil
	}
	return x.find(ctx, q)
}

// list answers from the table: all names, or those with a prefix.
func (x *Index) list(q Query) Hits {
	prefix := strings.ToLower(q.NamePrefix)
	x.mu.RLock()
	defer x.mu.RUnlock()
	var hits Hits
	x.names.Ascend(name{feed: q.FeedID, key: prefix}, func(n name) bool {
		if n.feed != q.FeedID || !strings.HasPrefix(n.key, prefix) {
			return false
		}
		if !n.stable && !q.Prerelease {
			return true
		}
		if hits.Total >= q.Skip && len(hits.Keys) < q.Take {
			hits.Keys = append(hits.Keys, n.key)
		}
		hits.Total++
		return prefix != "" || len(hits.Keys) < q.Take
	})
	if prefix == "" {
		hits.Total = x.counts[q.FeedID].stable
		if q.Prerelease {
			hits.Total = x.counts[q.FeedID].all
		}
	}
	return hits
}
