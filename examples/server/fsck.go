package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
)

// fsck compares database and storage while servers use them, and prints what is lost
// and what is extra. With rebuild, it replaces lost files by extra ones, and records the rest.
func fsck(ctx context.Context, cfg config, rebuild bool) error {
	if err := cfg.requireDB(); err != nil {
		return err
	}
	store, err := cfg.openDB(ctx, false)
	if err != nil {
		return err
	}
	defer store.Close()
	blobs, err := cfg.openStorage(ctx, true)
	if err != nil {
		return err
	}
	defer blobs.Close()
	stores := storage.NewSet(blobs, node.StorageURLs(store))
	defer stores.Close()
	if rebuild {
		if err := rebuildStorages(ctx, store, blobs, stores); err != nil {
			return err
		}
	}
	count := make(map[upkeep.Fault]int)
	var extra int64
	compared, err := upkeep.Audit(ctx, store, stores, func(f upkeep.Finding) error {
		count[f.Fault]++
		switch f.Fault {
		case upkeep.Lost:
			fmt.Printf("lost   %s  %s\n", f.Key(), strings.Join(f.Versions, ", "))
		case upkeep.Short:
			fmt.Printf("short  %s  %d bytes instead of %d  %s\n", f.Key(), f.Pair.Object.Size, f.Pair.Row.Size, strings.Join(f.Versions, ", "))
		case upkeep.Extra:
			fmt.Printf("extra  %s  %d bytes\n", f.Key(), f.Pair.Object.Size)
			extra += f.Pair.Object.Size
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("Files compared: %d; %d lost, %d of another size, %d extra (%.1f MiB).\n",
		compared, count[upkeep.Lost], count[upkeep.Short], count[upkeep.Extra], float64(extra)/(1<<20))
	if count[upkeep.Young] > 0 {
		fmt.Printf("Too new to judge: %d (less than %.0f minutes old). The database does not know them; they may belong to uploads in progress. Run fsck again when they are older.\n",
			count[upkeep.Young], upkeep.TooYoung.Minutes())
	}
	if count[upkeep.Extra] > 0 {
		fmt.Println("Extra files were uploaded but never recorded, or are newer than this database. They are removed after the grace period. fsck rebuild uses them in place of lost files with the same bytes, and records the rest, so that the next push of the same bytes uses them.")
	}
	if count[upkeep.Lost]+count[upkeep.Short] > 0 {
		return errors.New("some files are lost: put them back from a backup, or push the packages named above again")
	}
	return nil
}

// rebuildStorages makes use of extra files, and prints what it did with each.
func rebuildStorages(ctx context.Context, store *db.Store, blobs *storage.Store, stores *storage.Set) error {
	ours, err := cluster.New(store, blobs, cluster.Options{}).Probes(ctx)
	if err != nil {
		return err
	}
	return upkeep.Rebuild(ctx, store, stores, ours, func(f upkeep.Finding, what string) {
		fmt.Printf("extra  %s  %s\n", f.Key(), what)
	})
}
