package upkeep

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"golang.org/x/time/rate"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// KindIntegrity is the kind of job that rereads all stored files.
const KindIntegrity = "integrity"

// settingInspection is the setting that stores an inspection's progress, from which the
// next worker of its job continues.
const settingInspection = "integrity.progress"

const (
	inspectBatch = 100
	saveEvery    = 2 * time.Second
)

// An Inspector rereads every stored file that a version needs, and compares its digest
// with that of its upload. It mends a damaged file if a second copy is stored in any
// storage.
type Inspector struct {
	db    *db.Store
	blobs *storage.Set
	opts  InspectorOptions
}

// InspectorOptions configure an Inspector. The zero value is ready to use.
type InspectorOptions struct {
	Rate   int64        // bytes read per second, to leave capacity to clients; default 50 MiB
	Logger *slog.Logger // default: slog.Default()
}

// NewInspector returns an Inspector. opts may be nil.
func NewInspector(store *db.Store, blobs *storage.Set, opts *InspectorOptions) *Inspector {
	i := &Inspector{db: store, blobs: blobs}
	if opts != nil {
		i.opts = *opts
	}
	i.opts.Rate = cmp.Or(i.opts.Rate, 50<<20)
	i.opts.Logger = cmp.Or(i.opts.Logger, slog.Default())
	return i
}

// Kind implements [indexing.Worker].
func (*Inspector) Kind() string { return KindIntegrity }

// Work implements [indexing.Worker].
func (i *Inspector) Work(ctx context.Context, j *proget.Job, p *indexing.Progress) error {
	total, bytes, err := i.db.CountBlobs(ctx)
	if err != nil {
		return err
	}
	at, err := i.load(ctx, j.ID)
	if err != nil {
		return err
	}
	began, skipped := time.Now(), at.Bytes
	err = i.inspectAll(ctx, j, &at, func() {
		p.Set(at.Done, max(total, at.Done), outlook(at.Bytes-skipped, bytes-at.Bytes, time.Since(began))+fmt.Sprintf(", %d damaged", at.Damaged))
	})
	if err != nil { // for instance because the node ends: the next worker continues from here
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveEvery)
		defer cancel()
		return errors.Join(err, i.save(end, j, at))
	}
	return i.conclude(ctx, j, p, at)
}

// inspectAll reads the blobs that at does not include yet, and calls said after each.
func (i *Inspector) inspectAll(ctx context.Context, j *proget.Job, at *inspection, said func()) error {
	limiter := rate.NewLimiter(rate.Limit(i.opts.Rate), max(storage.ReadSize, int(min(i.opts.Rate, 1<<30))))
	saved := time.Now()
	for after := at.begin(); ; {
		batch, err := i.db.ListBlobs(ctx, after, inspectBatch)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			return i.settle(ctx, at)
		}
		after = batch[len(batch)-1].ID
		for _, b := range batch {
			if err := i.inspect(ctx, b, at, limiter.WaitN); err != nil {
				return err
			}
			said()
			if time.Since(saved) < saveEvery {
				continue
			}
			if err := i.save(ctx, j, *at); err != nil {
				return err
			}
			saved = time.Now()
		}
	}
}

// settle is called after the last blob. It records that storages that were available
// have caught up, and returns an error about what could not be read of the others.
func (i *Inspector) settle(ctx context.Context, at *inspection) error {
	storages, err := i.db.ListStorages(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(at.Behind, func(id, _ int64) bool { return at.unread[id] == nil })
	var failed []error
	for _, st := range storages {
		if u := at.unread[st.ID]; u != nil {
			failed = append(failed, fmt.Errorf("storage %s: %s could not be read: %w", st.Name, quantity.Of(u.files, "file"), u.err))
		}
	}
	return errors.Join(failed...)
}

// outlook describes the speed of reading and the remaining time.
func outlook(read, left int64, took time.Duration) string {
	speed := perSecond(read, took)
	remaining := time.Duration(float64(max(left, 0)) / float64(max(speed, 1)) * float64(time.Second))
	return fmt.Sprintf("%s/s, %s remaining", quantity.Bytes(speed), remaining.Round(time.Second))
}

func perSecond(bytes int64, took time.Duration) int64 {
	return int64(float64(bytes) / max(took.Seconds(), 0.001))
}

func (i *Inspector) conclude(ctx context.Context, j *proget.Job, p *indexing.Progress, at inspection) error {
	if err := i.save(ctx, j, inspection{}); err != nil {
		return err
	}
	p.Set(at.Done, at.Done, fmt.Sprintf("%s read, %d missing or damaged, of which %d repaired", quantity.Of(at.Done, "file"), at.Damaged, at.Mended))
	if lost := at.Damaged - at.Mended; lost > 0 {
		return indexing.GiveUp(fmt.Errorf("stored files missing or damaged: %d of %d; the logs of the servers that ran this job name them", lost, at.Done))
	}
	return nil
}

// load returns the job's progress, which is empty at its beginning.
func (i *Inspector) load(ctx context.Context, job int64) (inspection, error) {
	settings, err := i.db.Settings(ctx)
	if err != nil {
		return inspection{}, err
	}
	var at inspection
	if err := json.Unmarshal([]byte(settings[settingInspection]), &at); err != nil || at.Job != job {
		at = inspection{Job: job} // none, or of another job
	}
	at.unread = make(map[int64]*unread)
	return at, nil
}

// save stores the job's progress, under its claim: a worker that has lost the claim
// must not overwrite its successor's progress.
func (i *Inspector) save(ctx context.Context, j *proget.Job, at inspection) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	err = i.db.Tx(ctx, func(tx *db.Tx) error {
		if err := tx.HoldJob(ctx, j); err != nil {
			return err
		}
		return tx.SetSetting(ctx, settingInspection, string(text))
	})
	if errors.Is(err, proget.ErrStale) { // the next heartbeat ends the work
		return nil
	}
	return err
}

// inspect reads a blob if it is due. If the blob cannot be read or mended, inspect
// skips its storage until the next attempt, which begins with this blob; other storages
// are read nevertheless.
func (i *Inspector) inspect(ctx context.Context, b db.BlobRow, at *inspection, pace storage.Pace) error {
	if !at.due(b) {
		return nil
	}
	if away := at.unread[b.StorageID]; away != nil {
		at.skip(b, away.err)
		return nil
	}
	fault, err := verify(ctx, i.blobs, b, pace)
	if err == nil && fault != nil {
		err = i.damaged(ctx, b, fault, at, pace)
	}
	switch {
	case err == nil:
		at.read(b)
	case ctx.Err() != nil:
		return err
	default:
		at.skip(b, err)
	}
	return nil
}

// damaged mends a blob if possible, and logs the affected versions.
func (i *Inspector) damaged(ctx context.Context, b db.BlobRow, fault error, at *inspection, pace storage.Pace) error {
	versions, err := i.db.BlobVersions(ctx, b.ID)
	if err != nil || len(versions) == 0 { // deleted meanwhile: nobody misses it
		return err
	}
	mended, err := i.mend(ctx, b, pace)
	if err != nil {
		return err
	}
	at.Damaged++
	if mended {
		at.Mended++
	}
	for _, version := range versions {
		if mended {
			i.opts.Logger.WarnContext(ctx, "a stored file was missing or damaged; it was replaced by a copy", "version", version, "key", b.StorageKey, "error", fault)
			continue
		}
		i.opts.Logger.ErrorContext(ctx, "a stored file is missing or damaged; push the package again, or put the file back from a backup",
			"version", version, "key", b.StorageKey, "error", fault)
	}
	return nil
}

// verify returns what is wrong with a blob as fault, or as err why that could not be
// determined.
func verify(ctx context.Context, stores *storage.Set, b db.BlobRow, pace storage.Pace) (fault, err error) {
	blobs, err := stores.Store(ctx, b.StorageID)
	if err != nil {
		return nil, err
	}
	err = blobs.Verify(ctx, storage.Blob{Key: b.StorageKey, Size: b.Size, Digests: proget.Digests{proget.SHA256: b.SHA256}}, pace)
	if errors.Is(err, storage.ErrDamaged) || errors.Is(err, proget.ErrNotFound) {
		return err, nil
	}
	return nil, err
}

// mend searches for an intact copy of a damaged blob's bytes and, if there is one,
// replaces the blob's object.
func (i *Inspector) mend(ctx context.Context, b db.BlobRow, pace storage.Pace) (bool, error) {
	copies, err := i.db.BlobCopies(ctx, b)
	if err != nil {
		return false, err
	}
	for _, c := range copies {
		fault, err := verify(ctx, i.blobs, c, pace)
		if err != nil || fault != nil {
			continue // a copy that cannot be read does not help
		}
		fresh, err := copyBlob(ctx, i.blobs, c, b.StorageID)
		if err != nil {
			return false, err
		}
		replaced, err := i.db.ReplaceObject(ctx, b, fresh.Key)
		if err != nil || replaced {
			return replaced, err
		}
		blobs, err := i.blobs.Store(ctx, b.StorageID)
		if err != nil {
			return false, err
		}
		return true, blobs.Delete(ctx, fresh.Key) // somebody was faster
	}
	return false, nil
}

// copyBlob copies the bytes of a blob to a storage, and verifies them.
func copyBlob(ctx context.Context, stores *storage.Set, b db.BlobRow, to int64) (storage.Blob, error) {
	source, err := stores.Store(ctx, b.StorageID)
	if err != nil {
		return storage.Blob{}, err
	}
	target, err := stores.Store(ctx, to)
	if err != nil {
		return storage.Blob{}, err
	}
	r, err := source.Open(ctx, b.StorageKey)
	if err != nil {
		return storage.Blob{}, err
	}
	defer r.Close()
	fresh, err := target.Put(ctx, r, nil)
	if err != nil {
		return storage.Blob{}, err
	}
	if fresh.Size != b.Size || fresh.Digests[proget.SHA256] != b.SHA256 {
		return storage.Blob{}, errors.Join(fmt.Errorf("%w: %s changed while it was copied", storage.ErrDamaged, b.StorageKey), target.Delete(ctx, fresh.Key))
	}
	return fresh, nil
}
