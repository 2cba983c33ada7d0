// Command embed serves a NuGet feed beside a program's own pages. It stops in order:
// pending requests get time to finish, then it closes everything.
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
	"github.com/proget-go/ha/proget/feed/nuget"
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
	store, err := sqlite.Open(ctx, "embed.db", nil)
	if err != nil {
		return err
	}
	defer store.Close()
	blobs, err := storage.OpenFolder("embed-packages", nil)
	if err != nil {
		return err
	}
	defer blobs.Close()
	keys, err := auth.ParseKeyring("00112233445566778899aabbccddeeff") // your own
	if err != nil {
		return err
	}
	n, err := node.New(ctx, node.Config{
		DB: store, Blobs: blobs, Keys: keys, Feeds: []feed.Type{nuget.New(nil)}, CacheDir: "embed-cache",
		FirstStart: &node.FirstStart{Password: "change me", APIKey: "change-me-please"},
	})
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, n), n.Close())
}

func serve(ctx context.Context, n *node.Node) error {
	mux := http.NewServeMux()
	for _, path := range []string{"/nuget/", "/health/", "/metrics"} {
		mux.Handle(path, n.Handler())
	}
	mux.Handle("/docs/", http.StripPrefix("/docs/", http.FileServer(http.Dir("docs"))))
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDRESS"), "localhost:8080"))
	if err != nil {
		return err
	}
	log.Printf("NuGet feeds are served at http://%s/nuget/; the data is in embed.db and the folders embed-packages and embed-cache", listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	working, finish := context.WithCancel(context.Background()) // until the last request is answered
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.Run(working) })
	g.Go(func() error {
		defer finish()
		return node.Serve(ctx, server, listener, 30*time.Second)
	})
	return g.Wait()
}
