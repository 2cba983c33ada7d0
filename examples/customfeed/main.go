// Command customfeed serves its own feed type: script.go implements all of it, and
// docs/feed-types.md explains it.
//
//	go run ./examples/customfeed
//	curl -T - -H "X-ApiKey: change-me-please" http://localhost:8081/script/script/ < greet.sh
package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	store, err := sqlite.Open(ctx, "customfeed.db", nil)
	if err != nil {
		return err
	}
	defer store.Close()
	blobs, err := storage.OpenFolder("customfeed-packages", nil)
	if err != nil {
		return err
	}
	defer blobs.Close()
	keys, err := auth.ParseKeyring("00112233445566778899aabbccddeeff") // your own
	if err != nil {
		return err
	}
	n, err := node.New(ctx, node.Config{
		DB: store, Blobs: blobs, Keys: keys, Feeds: []feed.Type{scripts()}, CacheDir: "customfeed-cache",
		FirstStart: &node.FirstStart{Password: "change me", APIKey: "change-me-please"},
	})
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, n), n.Close())
}

func serve(ctx context.Context, n *node.Node) error {
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDRESS"), "localhost:8081"))
	if err != nil {
		return err
	}
	log.Printf("scripts are served at http://%s/script/script/; the data is in customfeed.db and the folders customfeed-packages and customfeed-cache", listener.Addr())
	server := &http.Server{Handler: n.Handler(), ReadHeaderTimeout: 10 * time.Second}
	working, finish := context.WithCancel(context.Background()) // until the last request is answered
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.Run(working) })
	g.Go(func() error {
		defer finish()
		return node.Serve(ctx, server, listener, 30*time.Second)
	})
	return g.Wait()
}
