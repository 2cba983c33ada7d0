package node_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
)

// A node is a handler for any HTTP server, and background work that ends with
// its context.
func Example() {
	folder, err := os.MkdirTemp("", "node")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, err1 := sqlite.Open(ctx, filepath.Join(folder, "feeds.db"), nil)
	blobs, err2 := storage.OpenFolder(filepath.Join(folder, "packages"), nil)
	keys, err3 := auth.ParseKeyring(auth.NewEncryptionKey())
	n, err4 := node.New(ctx, node.Config{DB: store, Blobs: blobs, Keys: keys, Feeds: []feed.Type{nuget.New(nil)},
		FirstStart: &node.FirstStart{Password: "change me", APIKey: "change-me-too"}})
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	server := httptest.NewServer(n.Handler())

	team := &proget.Feed{Name: "team", Type: "nuget", Active: true}
	if err := n.Admin().CreateFeed(ctx, team, proget.Principal{User: "setup"}); err != nil {
		fmt.Println(err)
		return
	}
	resp, err := http.Get(server.URL + "/nuget/team/v3/index.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Status, resp.Header.Get("Content-Type"))
	_ = resp.Body.Close()

	server.Close()
	cancel()
	fmt.Println(cmp.Or(<-done, n.Close(), blobs.Close(), store.Close()))
	// Output:
	// 200 OK application/json
	// <nil>
}
