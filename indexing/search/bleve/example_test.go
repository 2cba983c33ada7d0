package bleve_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/bleve"
)

// An index is filled feed by feed, and asked.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	x, err := bleve.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	var changes []search.Change
	for _, name := range []string{"Newtonsoft.Json", "Json", "Serilog"} {
		changes = append(changes, search.Change{Key: name, Document: &search.Document{Key: name, Name: name, Stable: true}})
	}
	const feed, before, after = 1, 0, 3 // positions in the feed's log
	if err := x.Update(context.Background(), feed, changes, before, after, ""); err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"json", "newton js", "srilog"} {
		fmt.Println(x.Search(context.Background(), search.Query{FeedID: feed, Text: text}))
	}
	// Output:
	// {2 [Json Newtonsoft.Json]} <nil>
	// {1 [Newtonsoft.Json]} <nil>
	// {1 [Serilog]} <nil>
}
