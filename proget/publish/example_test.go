package publish_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "publish")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	store, err := sqlite.Open(ctx, filepath.Join(folder, "feeds.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	blobs, err := storage.Open(ctx, "mem:", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer blobs.Close()

	main := &proget.Feed{Name: "main", Type: "plain", Active: true}
	if err := store.Administer(ctx, "setup", func(tx *db.Tx) error { return tx.CreateFeed(ctx, main) }); err != nil {
		fmt.Println(err)
		return
	}

	publisher := publish.New(store, storage.NewSet(blobs, nil), []feed.Type{plain()}, nil)
	upload := feed.Upload{Feed: main, Name: "acme@1.0", Body: strings.NewReader("hello")}
	v, err := publisher.Publish(ctx, upload)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Name, v.Version, v.Files[0].Size, v.Files[0].Digests[proget.SHA1])

	upload.Body = strings.NewReader("other bytes")
	_, err = publisher.Publish(ctx, upload)
	fmt.Println(errors.Is(err, proget.ErrConflict), proget.Message(err))
	// Output:
	// acme 1.0 5 aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d
	// true acme 1.0 already exists in feed main: publish it under another version.
}
