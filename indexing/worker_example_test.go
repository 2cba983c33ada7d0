package indexing_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

// A census counts the packages of the feed that its job names, and keeps their number.
type census struct{ db *db.Store }

func (census) Kind() string { return "census" }

func (c census) Work(ctx context.Context, j *proget.Job, p *indexing.Progress) error {
	feeds, err := c.db.ListFeeds(ctx)
	if err != nil {
		return err // the job is tried again later
	}
	i := slices.IndexFunc(feeds, func(f *proget.Feed) bool { return f.Name == j.Argument })
	if i < 0 {
		return indexing.GiveUp(fmt.Errorf("there is no feed %s", j.Argument)) // nor will there be
	}
	if !feeds[i].Active {
		return indexing.Snooze(time.Hour) // somebody may activate it
	}
	var counted int64
	for after := ""; ; {
		keys, err := c.db.ListPackageKeys(ctx, feeds[i].ID, after, 100)
		if err != nil {
			return err
		}
		counted += int64(len(keys))
		p.Set(counted, 0, fmt.Sprintf("%d packages counted", counted)) // the job's page shows it
		if len(keys) == 0 {
			break
		}
		after = keys[len(keys)-1]
	}
	return c.db.Tx(ctx, func(tx *db.Tx) error {
		if err := tx.HoldJob(ctx, j); err != nil {
			return err // another worker has the job by now: what it wrote stays
		}
		return tx.SetSetting(ctx, "census "+j.Argument, fmt.Sprint(counted))
	})
}

// A node runs such a worker as one of node.Config.Workers, and queues its jobs by
// node.Config.Tasks or, as here, in the transaction that makes them necessary.
func ExampleWorker() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	folder, err := os.MkdirTemp("", "indexing")
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
	fmt.Println(store.Administer(ctx, "setup", func(tx *db.Tx) error {
		for _, f := range []*proget.Feed{{Name: "main", Type: "nuget", Active: true}, {Name: "old", Type: "nuget"}} {
			if err := tx.CreateFeed(ctx, f); err != nil {
				return err
			}
		}
		for _, name := range []string{"main", "old", "lost"} {
			if err := tx.Enqueue(ctx, db.NewJob{Kind: "census", Argument: name}); err != nil {
				return err
			}
		}
		return nil
	}))

	opts := &indexing.PoolOptions{Poll: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	pool, err := indexing.NewPool(store, "web-1", opts, census{store})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- pool.Run(ctx) }()
	for _, name := range []string{"main", "old", "lost"} {
		j, err := store.LastJob(ctx, "census", name)
		for err == nil && (j.State == proget.JobWaiting || j.State == proget.JobRunning) {
			time.Sleep(10 * time.Millisecond)
			j, err = store.LastJob(ctx, "census", name)
		}
		fmt.Printf("%s: %s, %s\n", name, j.State, j.Message)
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// <nil>
	// main: done, 0 packages counted
	// old: delayed, postponed by 1h0m0s
	// lost: failed, there is no feed lost
	// <nil>
}
