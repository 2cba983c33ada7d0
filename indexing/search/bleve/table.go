package bleve

import (
	"sort"
	"strings"

	"github.com/tidwall/btree"

	"github.com/proget-go/ha/indexing/search"
)

// A table has the keys of all packages in memory, in order, once for each shelf
// they are on. Plain lists and prefixes come from it, some hundred times quicker
// than from the text: a tree knows how many keys are before any of its own.
type table map[listing]*keys

type listing struct {
	feed  int64
	shelf int
}

type keys = btree.BTreeG[string]

func newKeys() *keys {
	return btree.NewBTreeGOptions(func(a, b string) bool { return a < b }, btree.Options{NoLocks: true})
}

func (t table) keys(l listing) *keys {
	if t[l] == nil {
		t[l] = newKeys()
	}
	return t[l]
}

// set enters a package anew; a nil document takes it out.
func (t table) set(feed int64, key string, d *search.Document) {
	for n := range shelves {
		switch l := (listing{feed, n}); {
		case d != nil && d.Visible(n&1 != 0, n&2 != 0):
			t.keys(l).Set(key)
		case t[l] != nil:
			t[l].Delete(key)
		}
	}
}

// load enters keys, which it sorts, on one shelf.
func (t table) load(l listing, loaded []string) {
	sort.Strings(loaded)
	into := t.keys(l)
	for _, key := range loaded {
		into.Load(key)
	}
}

func (t table) forget(feed int64) {
	for n := range shelves {
		delete(t, listing{feed, n})
	}
}

// all returns the keys of a feed.
func (t table) all(feed int64) []string {
	if list := t[listing{feed, allShelf}]; list != nil {
		return list.Items()
	}
	return nil
}

// page returns the part of a list that a query asks for.
func (t table) page(q search.Query) search.Hits {
	list := t[listing{q.FeedID, shelf(q.Prerelease, q.Old)}]
	if list == nil {
		return search.Hits{}
	}
	prefix := strings.ToLower(q.NamePrefix)
	first, end := 0, list.Len()
	if prefix != "" {
		first = rank(list, func(key string) bool { return key >= prefix })
		end = rank(list, func(key string) bool { return key >= prefix && !strings.HasPrefix(key, prefix) })
	}
	hits := search.Hits{Total: end - first}
	for i := first + q.Skip; i < min(first+q.Skip+q.Take, end); i++ {
		key, _ := list.GetAt(i)
		hits.Keys = append(hits.Keys, key)
	}
	return hits
}

// rank returns the number of keys before those that are beyond.
func rank(list *keys, beyond func(key string) bool) int {
	return sort.Search(list.Len(), func(i int) bool {
		key, _ := list.GetAt(i)
		return beyond(key)
	})
}
