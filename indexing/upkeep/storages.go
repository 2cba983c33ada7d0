package upkeep

import (
	"context"
	"errors"
	"fmt"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// eachStorage calls fn for every storage of the installation. If one fails, it
// continues with the others, and returns the errors, with the storages' names, at the
// end.
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
