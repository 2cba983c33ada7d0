package main // serves a NuGet feed beside a program's own pages

import (
	"cmp"
	"context"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
	"log"
	"net/http"
	"os"
)

func main() {
	ctx := context.Background()
	store, err1 := sqlite.Open(ctx, "embed.db", nil)
	blobs, err2 := storage.OpenFolder("embed-packages", nil)
	keys, err3 := auth.ParseKeyring("00112233445566778899aabbccddeeff") // your own
	n, err4 := node.New(ctx, node.Config{DB: store, Blobs: blobs, Keys: keys, Feeds: []feed.Type{nuget.New(nil)}, CacheDir: "embed-cache", FirstStart: &node.FirstStart{Password: "change me", APIKey: "change-me-please"}})
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		log.Fatal(err)
	}
	for _, path := range []string{"/nuget/", "/health/", "/metrics"} {
		http.Handle(path, n.Handler())
	}
	http.Handle("/docs/", http.StripPrefix("/docs/", http.FileServer(http.Dir("docs"))))
	go func() { log.Fatal(n.Run(ctx)) }()
	log.Fatal(http.ListenAndServe(cmp.Or(os.Getenv("ADDRESS"), "localhost:8080"), nil))
}
