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

// ErrForeign means that another installation uses, or has used, the storage: its
// objects cannot be distinguished from those that nobody recorded.
var ErrForeign = errors.New("the storage is also used by another installation")

// checkOwner returns ErrForeign if a storage has the mark of another installation. ours are
// the keys of this one's probes; if nil, all marks are.
func checkOwner(ctx context.Context, blobs *storage.Store, ours map[string]bool) error {
	if ours == nil {
		return nil
	}
	for o, err := range blobs.List(ctx, storage.OwnerPrefix) {
		if err != nil {
			return err
		}
		if !ours[o.Key] {
			return fmt.Errorf("%w: files that the database of this installation does not know are left alone. "+
				"If the other installation no longer exists, delete the object %s from storage", ErrForeign, o.Key)
		}
	}
	return nil
}
