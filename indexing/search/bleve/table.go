package bleve

import (
	"sort"
	"strings"

	"github.com/tidwall/btree"

	"github.com/proget-go/ha/indexing/search"
)

// A table holds the keys of all packages in memory, in order. Plain lists and prefix
// queries are answered from it, some hundred times faster than from the text index: its
// trees can count the keys before a given one. Most packages are on all shelves, so it
// stores for each shelf the packages that are not on it.
type table map[int64]*shelved

// shelved are the packages of a feed.
type shelved struct {
	all    *keys
	hidden [shelves]*keys // the packages that each shelf lacks
}

type keys = btree.BTreeG[string]

func newKeys() *keys {
	return btree.NewBTreeGOptions(before[string], btree.Options{NoLocks: true})
}

func (t table) feed(id int64) *shelved {
	if t[id] == nil {
		t[id] = &shelved{all: newKeys()}
		for n := range shelves {
			t[id].hidden[n] = newKeys()
		}
	}
	return t[id]
}

// set replaces the entry of a package; a nil document removes it.
func (t table) set(feed int64, key string, d *search.Document) {
	f := t.feed(feed)
	put(f.all, key, d != nil)
	for n := range shelves {
		put(f.hidden[n], key, d != nil && !d.Visible(n&1 != 0, n&2 != 0))
	}
}

func put(into *keys, key string, in bool) {
	if in {
		into.Set(key)
	} else {
		into.Delete(key)
	}
}

// load adds the keys of a feed, given per shelf, and sorts the given lists.
func (t table) load(feed int64, on *[shelves][]string) {
	f := t.feed(feed)
	for _, list := range on {
		sort.Slice(list, func(i, j int) bool { return before(list[i], list[j]) })
	}
	for _, key := range on[allShelf] {
		f.all.Load(key)
		for n := range shelves {
			if len(on[n]) > 0 && on[n][0] == key {
				on[n] = on[n][1:]
			} else {
				f.hidden[n].Load(key)
			}
		}
	}
}

// keys returns the keys of a feed.
func (t table) keys(feed int64) []string {
	if f := t[feed]; f != nil {
		return f.all.Items()
	}
	return nil
}

// page returns the page that a query asks for.
func (t table) page(q search.Query) (hits search.Hits) {
	f := t[q.FeedID]
	if f == nil {
		return search.Hits{}
	}
	hidden, prefix := f.hidden[shelf(q.Prerelease, q.Old)], strings.ToLower(q.NamePrefix)
	first, end := beginning(f.all, prefix)
	firstHidden, endHidden := beginning(hidden, prefix)
	hits.Total = end - first - (endHidden - firstHidden)
	// at returns the place of the nth key that is not hidden.
	at := func(n int) int {
		return first + sort.Search(end-first, func(i int) bool {
			key, _ := f.all.GetAt(first + i)
			return i+1-(rank(hidden, func(other string) bool { return before(key, other) })-firstHidden) > n
		})
	}
	where := at(q.Skip)
	for n := q.Skip; n < min(q.Skip+q.Take, hits.Total); n++ {
		key, _ := f.all.GetAt(where)
		if _, is := hidden.Get(key); is {
			where = at(n)
			key, _ = f.all.GetAt(where)
		}
		hits.Keys = append(hits.Keys, key)
		where++
	}
	return hits
}

// beginning returns the places of the first key that begins with prefix and of the
// first key after those.
func beginning(list *keys, prefix string) (first, end int) {
	if prefix == "" {
		return 0, list.Len()
	}
	return rank(list, func(key string) bool { return compareFolded(key, prefix) >= 0 }),
		rank(list, func(key string) bool { return compareFolded(key, prefix) >= 0 && !beginsWith(key, prefix) })
}

// rank returns the number of keys for which beyond is false; they must come before the
// others.
func rank(list *keys, beyond func(key string) bool) int {
	return sort.Search(list.Len(), func(i int) bool {
		key, _ := list.GetAt(i)
		return beyond(key)
	})
}
