package upkeep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// A Fault is the way in which database and storage differ about a key.
type Fault string

// The faults.
const (
	Lost  Fault = "lost"  // the database names an object that does not exist
	Short Fault = "short" // the object has another size
	Extra Fault = "extra" // nothing in the database names the object
	Young Fault = "young" // nor this one, but it may belong to an upload in progress
)

// TooYoung is the age up to which an object that the database does not name may still
// be recorded.
const TooYoung = 2 * db.RecordWithin

// A Finding is one difference between database and storage.
type Finding struct {
	Fault
	Storage  proget.Storage
	Pair     Pair
	Versions []string // affected versions, each as "feed/package version"
}

// Key returns the object's key.
func (f *Finding) Key() string {
	if f.Pair.Row != nil {
		return f.Pair.Row.StorageKey
	}
	return f.Pair.Object.Key
}

// Audit compares the database with every storage by keys and sizes, and calls found for
// each difference. It is exact for what nobody writes or deletes meanwhile: extra
// objects that may belong to uploads in progress are [Young], and it looks a second
// time for objects that seem lost. It returns the number of keys that it compared. If a
// storage is unavailable, or found returns an error for it, Audit continues with the
// others and returns the error at the end.
func Audit(ctx context.Context, store *db.Store, stores *storage.Set, found func(Finding) error) (compared int64, err error) {
	err = eachStorage(ctx, store, stores, func(st proget.Storage, blobs *storage.Store) error {
		a := &audit{db: store, blobs: blobs, storage: st, found: found}
		err := a.run(ctx)
		compared += a.compared
		return err
	})
	return compared, err
}

// audit is the comparison with one storage.
type audit struct {
	db       *db.Store
	blobs    *storage.Store
	storage  proget.Storage
	found    func(Finding) error
	compared int64
}

func (a *audit) run(ctx context.Context) error {
	now, err := a.blobs.Clock(ctx)
	if err != nil {
		return err
	}
	for pair, err := range Compare(ctx, a.db, a.blobs, a.storage.ID) {
		if err != nil {
			return err
		}
		a.compared++
		fault, err := a.judge(ctx, pair, now)
		if err == nil && fault != "" {
			err = a.report(ctx, fault, pair)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// judge returns what is wrong with a pair, or "".
func (a *audit) judge(ctx context.Context, p Pair, now time.Time) (Fault, error) {
	switch {
	case p.Row == nil && now.Sub(p.Object.ModTime) <= TooYoung:
		return Young, nil
	case p.Row == nil:
		return Extra, nil
	case p.Row.SHA256 == "": // part of an upload, or already swept
		return "", nil
	case p.Object != nil && p.Object.Size != p.Row.Size:
		return Short, nil
	case p.Object != nil:
		return "", nil
	}
	r, err := a.blobs.Open(ctx, p.Row.StorageKey) // it may have come after the listing
	if err == nil {
		return "", r.Close()
	}
	if errors.Is(err, proget.ErrNotFound) {
		return Lost, nil
	}
	return "", err
}

func (a *audit) report(ctx context.Context, fault Fault, p Pair) (err error) {
	f := Finding{Fault: fault, Storage: a.storage, Pair: p}
	if p.Row != nil {
		if f.Versions, err = a.db.BlobVersions(ctx, p.Row.ID); err != nil {
			return err
		}
		if len(f.Versions) == 0 { // it is about to be, or was just, collected: nobody needs it
			return nil
		}
	}
	return a.found(f)
}

// Rebuild makes use of the objects that no row names, unless they are too young: if an
// object's bytes are those of a lost or short blob, it replaces the blob's object;
// otherwise it gets a row, so that it is used when the same bytes are pushed again, or
// collected. Rebuild reads all these objects and calls done for each with a description
// of what it did. ours are the keys of the installation's probes, by which it recognizes
// its storages: in others, which fail with [ErrForeign], an object may belong to somebody
// else, and would be collected once it had a row. If a storage fails, Rebuild continues
// with the others and returns the error at the end.
func Rebuild(ctx context.Context, store *db.Store, stores *storage.Set, ours map[string]bool, done func(f Finding, what string)) error {
	return eachStorage(ctx, store, stores, func(st proget.Storage, blobs *storage.Store) error {
		if err := checkOwner(ctx, blobs, ours); err != nil {
			return err
		}
		missing := make(map[string][]db.BlobRow) // by digest
		var extra []Finding
		a := &audit{db: store, blobs: blobs, storage: st, found: func(f Finding) error {
			switch f.Fault {
			case Extra:
				extra = append(extra, f)
			case Lost, Short:
				missing[f.Pair.Row.SHA256] = append(missing[f.Pair.Row.SHA256], *f.Pair.Row)
			}
			return nil
		}}
		if err := a.run(ctx); err != nil {
			return err
		}
		for _, f := range extra {
			what, err := rebuild(ctx, store, blobs, f, missing)
			if err != nil {
				return fmt.Errorf("object %s: %w", f.Key(), err)
			}
			done(f, what)
		}
		return nil
	})
}

func rebuild(ctx context.Context, store *db.Store, blobs *storage.Store, f Finding, missing map[string][]db.BlobRow) (string, error) {
	sum, err := blobs.Sum(ctx, f.Key(), nil)
	if err != nil {
		return "", err
	}
	digest := sum.Digests[proget.SHA256]
	for i, b := range missing[digest] {
		replaced, err := store.ReplaceObject(ctx, b, f.Key())
		if err != nil {
			return "", err
		}
		if replaced {
			missing[digest] = missing[digest][i+1:]
			return "replaces " + b.StorageKey, nil
		}
	}
	err = store.AdoptObject(ctx, db.BlobRow{SHA256: digest, Size: sum.Size, StorageID: f.Storage.ID, StorageKey: f.Key()})
	if errors.Is(err, proget.ErrConflict) {
		return "has just been recorded by a server", nil
	}
	return "is now recorded", err
}
