// Package search finds packages by text. It defines what an [Index] is told of
// packages, what it is asked and what it answers.
//
// An index is derived data. Whoever keeps it current follows the feeds' logs; the index
// itself records its position in each log, and may be lost at any time: meanwhile,
// queries are answered from elsewhere. Package bleve keeps an index in a folder;
// package searchtest tests other implementations.
package search

import (
	"context"
	"errors"
	"math"
)

// Limits of one query. They do not affect the total of an answer, which is exact.
const (
	MaxTake   = 1000   // hits on one page
	MaxWindow = 10_000 // hits of a text search that pages can reach
)

// A Document is what an index knows of a package. A package without a listed version
// has none: search does not find what its owner does not list.
type Document struct {
	Key         string // normal form of the name
	Name        string
	Title       string
	Description string
	Authors     string
	Owner       string
	Tags        []string
	Types       []string // kinds of package within its feed, such as "DotnetTool"

	// Packages with more downloads come a little before others that match as well; only
	// the number of digits counts.
	Downloads int64

	Stable bool // has a listed stable version; otherwise only listed prereleases

	// Modern means that clients of old protocols can read none of the listed versions,
	// and ModernStable that they can read none of the stable ones among them.
	Modern, ModernStable bool
}

// Visible reports whether the package has a version that a query considers: with
// prerelease, also prereleases; with old, only versions that clients of old protocols
// can read.
func (d *Document) Visible(prerelease, old bool) bool {
	if prerelease {
		return !old || !d.Modern
	}
	return d.Stable && (!old || !d.Modern && !d.ModernStable)
}

// A Change is the new state of a document. A nil Document removes it.
type Change struct {
	Key      string
	Document *Document
}

// A Query asks for the packages of one feed that meet all its conditions, ordered by
// how well they match Text or, without Text, by their keys in lower case.
type Query struct {
	FeedID     int64
	Text       string // words to find in name, title, tags, description, authors and owner
	NamePrefix string // only keys that begin with it, regardless of case
	Type, Tag  string // only packages that have them
	Prerelease bool   // also packages without a stable version
	Old        bool   // only packages with a version that clients of old protocols can read
	Skip, Take int    // Take 0 means 20
}

// Bounded returns the query with Take and Skip within their limits.
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

// ErrRebuilding means that an index cannot answer, or be updated from the position that
// its writer assumes, because it was lost or damaged and has begun anew.
var ErrRebuilding = errors.New("the search index is being rebuilt")

// ErrUnwritable means that the disk accepts no writes, for instance because it is full.
// The index keeps its content and answers from that.
var ErrUnwritable = errors.New("the search index cannot be written")

// An Index answers queries. It is safe for concurrent use with one writer at a time. It
// may lose everything at any time; its positions are then 0 again.
type Index interface {
	// Search answers a query from the index's present content.
	Search(ctx context.Context, q Query) (Hits, error)

	// Update applies changes of one feed and moves its position, both or neither. It
	// keeps operation with the position: for instance, that of the log's entry at to.
	// See Operation. If the feed's position is not from, Update returns ErrRebuilding:
	// the earlier content is gone. Positions of 0 and below mean that the feed is
	// incomplete; whoever fills an index counts downwards. If the disk accepts no
	// writes, Update returns ErrUnwritable and the index is unchanged.
	Update(ctx context.Context, feed int64, changes []Change, from, to int64, operation string) error

	// Reset forgets a feed.
	Reset(ctx context.Context, feed int64) error

	// Position returns the index's position in a feed's log, and a channel that is
	// closed when the position of any feed changes.
	Position(feed int64) (int64, <-chan struct{})

	// Operation returns the operation that the last Update of the feed was given.
	// Another log, such as that of a restored database, has another entry at the
	// position, and another release may have described the packages differently.
	Operation(feed int64) string

	// Close closes the index, which then answers with errors only.
	Close() error
}
