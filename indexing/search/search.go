// Package search finds packages by text. It holds the words: what an [Index]
// is told of packages, what it is asked and what it answers.
//
// An index is derived data. It is kept current by following the feeds' logs,
// remembers in itself how far it has come in each, and may be lost at any
// time: what is asked meanwhile is answered from elsewhere. Package bleve keeps
// one in a folder; package searchtest tells whether another kind is fit.
package search

import (
	"context"
	"errors"
	"math"
)

// Bounds of one query. An answer's total is exact whatever they are.
const (
	MaxTake   = 1000   // hits of one page
	MaxWindow = 10_000 // hits of a search for text that can be paged through
)

// A Document is what is known of a package. A package that has no listed
// version has none: search does not find what its owner does not list.
type Document struct {
	Key         string // the name's normal form
	Name        string
	Title       string
	Description string
	Authors     string
	Owner       string
	Tags        []string
	Types       []string // what it is among its feed's packages, such as "DotnetTool"

	// Downloads make a package come a little earlier than others that match as
	// well, by their number of digits.
	Downloads int64

	Stable bool // has a listed stable version; else it has listed prereleases only

	// Modern and ModernStable tell what clients of old protocols cannot read:
	// all of the listed versions, and all stable ones among them.
	Modern, ModernStable bool
}

// Visible reports whether a package is among those that a query is about, as
// far as its versions are concerned.
func (d *Document) Visible(prerelease, old bool) bool {
	if prerelease {
		return !old || !d.Modern
	}
	return d.Stable && (!old || !d.Modern && !d.ModernStable)
}

// A Change is a document's new state. A nil Document removes it.
type Change struct {
	Key      string
	Document *Document
}

// A Query asks for packages of one feed: for those that match all that is
// asked, in the order of how well they match Text, or else of their keys, in lower case
// first.
type Query struct {
	FeedID     int64
	Text       string // words in name, title, tags, description, authors and owner
	NamePrefix string // only keys that begin with this, without regard to case
	Type, Tag  string // only packages that have it
	Prerelease bool   // also packages without a stable version
	Old        bool   // only packages with a version that old clients can read
	Skip, Take int    // Take 0 means 20
}

// Bounded returns the query with a usable page.
func (q Query) Bounded() Query {
	if q.Take <= 0 {
		q.Take = 20
	}
	q.Take, q.Skip = min(q.Take, MaxTake), min(max(q.Skip, 0), math.MaxInt32)
	return q
}

// Hits is one page of an answer.
type Hits struct {
	Total int // of all pages
	Keys  []string
}

// ErrRebuilding says that an index cannot answer, or be updated from where its
// writer believes it to be, because it was lost or is damaged, and has begun
// anew.
var ErrRebuilding = errors.New("the search index is being rebuilt")

// ErrUnwritable says that the disk takes no writes: it is full, say. An index then has
// what it had, and answers from that.
var ErrUnwritable = errors.New("the search index cannot be written")

// An Index is safe for concurrent use, with one writer at a time. It may lose
// everything at any time; its positions are then 0 again.
type Index interface {
	// Search answers a query from what the index has come to.
	Search(ctx context.Context, q Query) (Hits, error)

	// Update applies changes of one feed and moves its position, both or
	// neither. operation is kept with it for the writer: that of the log's entry at to, say. See Operation.
	// If the feed is not at from, it returns ErrRebuilding: what came
	// before is not there any more. Positions of 0 and less say that the feed
	// is not complete; whoever fills an index counts downwards. If the disk takes
	// no writes, it returns ErrUnwritable, and the index is as it was.
	Update(ctx context.Context, feed int64, changes []Change, from, to int64, operation string) error

	// Reset forgets a feed.
	Reset(ctx context.Context, feed int64) error

	// Position returns how far into a feed's log the index has come, and a
	// channel that is closed when that changes for any feed.
	Position(feed int64) (int64, <-chan struct{})

	// Operation returns what the last Update was told of the entry at the feed's
	// position. Another log, as that of a database that was restored, has another
	// entry there, and another release may have described the packages otherwise.
	Operation(feed int64) string

	// Close closes the index. It answers nothing afterwards but errors.
	Close() error
}
