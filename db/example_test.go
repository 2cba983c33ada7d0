package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
)

// A change and its entry in the feed's log are one transaction: what is refused
// leaves no entry.
func ExampleStore_Change() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "db")
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

	main := &proget.Feed{Name: "main", Type: "nuget", Active: true}
	ch := &db.Change{FeedID: proget.SystemFeed, Operation: "create main", Actor: "setup", Kind: proget.SystemChanged}
	seq, err := store.Change(ctx, ch, func(tx *db.Tx) error { return tx.CreateFeed(ctx, main) })
	fmt.Println(seq, err)
	_, err = store.Change(ctx, &db.Change{FeedID: proget.SystemFeed, Operation: "create main again", Kind: proget.SystemChanged},
		func(tx *db.Tx) error { return tx.CreateFeed(ctx, &proget.Feed{Name: "MAIN", Type: "nuget"}) })
	fmt.Println(errors.Is(err, proget.ErrConflict))
	log, err := store.LogAfter(ctx, proget.SystemFeed, 0, 10)
	for _, entry := range log {
		fmt.Println(entry.Seq, entry.Change, "by", entry.Actor)
	}
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// true
	// 1 system by setup
	// <nil>
}
