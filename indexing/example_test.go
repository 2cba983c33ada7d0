package indexing_test

import (
	"context"
	"fmt"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

// names remembers which packages of a feed it was told of.
type names []string

// Applied implements indexing.Subscriber.
func (n *names) Applied(_ int64, entries []proget.Entry) {
	for _, e := range entries {
		*n = append(*n, e.PackageKey)
	}
}

// history is a log; a *db.Store is the real one.
type history map[int64][]proget.Entry

func (history) Stamp() (s driver.Stamp, ok bool) { return s, false }

func (history) Changes() int64 { return 0 }

func (history) Breaks() int64 { return 0 }

func (h history) NewestEntries(context.Context) (newest []proget.Entry, _ error) {
	for feed, entries := range h {
		newest = append(newest, append([]proget.Entry{{FeedID: feed}}, entries...)[len(entries)])
	}
	return newest, nil
}

func (h history) Heads(context.Context) (map[int64]int64, error) {
	heads := make(map[int64]int64)
	for feed, entries := range h {
		heads[feed] = int64(len(entries))
	}
	return heads, nil
}

func (h history) LogAfter(_ context.Context, feed, after int64, limit int) ([]proget.Entry, error) {
	entries := h[feed][after:]
	return entries[:min(limit, len(entries))], nil
}

// What was written before Sync was called is known when it returns.
func ExampleTail() {
	log := history{1: nil}
	var known names
	tail := indexing.NewTail(log, nil, &known)
	defer tail.Close()
	fmt.Println(tail.Sync(context.Background()), known)
	log[1] = append(log[1], proget.Entry{FeedID: 1, Seq: 1, PackageKey: "acme.lib"})
	fmt.Println(tail.Sync(context.Background()), known)
	// Output:
	// <nil> []
	// <nil> [acme.lib]
}

// Webhooks, mirrors and the like take what happened in every feed. Give such a
// function to a node as one of node.Config.Deliver.
func ExampleDeliver() {
	var announce indexing.Deliver = func(_ context.Context, entries []proget.Entry) error {
		for _, e := range entries {
			fmt.Printf("%d/%d: %s %s %s by %s\n", e.FeedID, e.Seq, e.PackageKey, e.VersionKey, e.Change, e.Actor)
		}
		return nil // an error has the same entries come again
	}
	err := announce(context.Background(), []proget.Entry{
		{FeedID: 7, Seq: 41, PackageKey: "acme.lib", VersionKey: "1.0.0", Change: proget.VersionPublished, Actor: "ann"}})
	fmt.Println(err)
	// Output:
	// 7/41: acme.lib 1.0.0 published by ann
	// <nil>
}
