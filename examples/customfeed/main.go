// Command customfeed serves a feed type of its own: script.go is the whole of it,
// and docs/feed-types.md walks through it.
//
//	go run ./examples/customfeed
//	curl -T - -H "X-ApiKey: change-me-please" http://localhost:8081/script/script/ < greet.sh
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"

	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
)

func main() {
	ctx := context.Background()
	store, err1 := sqlite.Open(ctx, "customfeed.db", nil)
	blobs, err2 := storage.OpenFolder("customfeed-packages", nil)
	keys, err3 := auth.ParseKeyring("00112233445566778899aabbccddeeff") // your own
	n, err4 := node.New(ctx, node.Config{DB: store, Blobs: blobs, Keys: keys, Feeds: []feed.Type{scripts()}, CacheDir: "customfeed-cache", FirstStart: &node.FirstStart{Password: "change me", APIKey: "change-me-please"}})
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(n.Run(ctx)) }()
	address := cmp.Or(os.Getenv("ADDRESS"), "localhost:8081")
	log.Printf("scripts are at http://%s/script/script/, in customfeed.db and the folders customfeed-packages and customfeed-cache", address)
	log.Fatal(http.ListenAndServe(address, n.Handler()))
}
