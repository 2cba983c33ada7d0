package upkeep

import (
	"context"
	"errors"
	"fmt"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// eachStorage calls fn for every storage of the installation. One that is away holds up
// none of the others: what went wrong is returned at the end, with the storages' names.
func eachStorage(ctx context.Context, store *db.Store, stores *storage.Set, fn func(st proget.Storage, blobs *storage.Store) error) error {
	all, err := store.ListStorages(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, st := range all {
		if ctx.Err() != nil {
			failed = append(failed, ctx.Err())
			break
		}
		blobs, err := stores.Store(ctx, st.ID)
		if err == nil {
			err = fn(st, blobs)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("storage %s: %w", st.Name, err))
		}
	}
	return errors.Join(failed...)
}
