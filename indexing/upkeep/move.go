package upkeep

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// KindMove is the kind of job that moves files to the storage of their feed.
const KindMove = "move"

// moveWindow is how many files one statement examines.
const moveWindow = 5000

// A Mover moves the files of each feed to the storage that was chosen for it, one after
// the other, while clients push and restore. It copies a file, checks its digest, makes
// its version refer to the copy, and appends that to the feed's log. A [Collector]
// frees the original after the grace period, during which readers that know only the
// old place still find it.
type Mover struct {
	db    *db.Store
	blobs *storage.Set
	log   *slog.Logger
}

// NewMover returns a Mover. log may be nil, which means slog.Default().
func NewMover(store *db.Store, blobs *storage.Set, log *slog.Logger) *Mover {
	return &Mover{store, blobs, cmp.Or(log, slog.Default())}
}

// Kind implements [indexing.Worker].
func (*Mover) Kind() string { return KindMove }

// Work implements [indexing.Worker]. It examines the files of all feeds: a publisher
// that had not yet learned of a change may have used the old storage.
func (m *Mover) Work(ctx context.Context, _ *proget.Job, p *indexing.Progress) error {
	last, err := m.db.LastFile(ctx)
	if err != nil {
		return err
	}
	run := &moving{Mover: m, whole: make(map[string]bool), away: make(map[way]error)}
	began := time.Now()
	for after := int64(0); after < last; after += moveWindow {
		files, err := m.db.ListMisplaced(ctx, after, after+moveWindow)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := run.one(ctx, f); err != nil {
				return err
			}
			p.Set(min(f.FileID, last), last, fmt.Sprintf("%s moved, %s/s", run.moved, quantity.Bytes(perSecond(run.moved.bytes, time.Since(began)))))
		}
	}
	p.Set(last, last, fmt.Sprintf("%s moved", run.moved))
	return run.outcome()
}

// moving is one run of a Mover.
type moving struct {
	*Mover
	moved  amount
	failed int             // files that are missing or damaged
	whole  map[string]bool // target objects that were examined, and whether they are intact
	away   map[way]error   // ways on which nothing can be moved, because a storage is unavailable
}

// A way leads from one storage to another.
type way struct{ from, to int64 }

// one moves a file, unless its way is blocked; a file that cannot be moved does not
// stop the others.
func (m *moving) one(ctx context.Context, f db.MisplacedFile) error {
	if m.away[way{f.Blob.StorageID, f.StorageID}] != nil {
		return nil
	}
	if len(m.whole) >= moveWindow {
		clear(m.whole)
	}
	err := m.move(ctx, f, m.whole)
	switch {
	case err == nil:
		m.moved.add(f.Blob.Size)
	case ctx.Err() != nil:
		return err
	case errors.Is(err, storage.ErrDamaged) || errors.Is(err, proget.ErrNotFound):
		m.failed++
		m.log.ErrorContext(ctx, "a file cannot be moved to its feed's storage; check the stored files", "key", f.Blob.StorageKey, "error", err)
	default:
		m.away[way{f.Blob.StorageID, f.StorageID}] = fmt.Errorf("move %s: %w", f.Blob.StorageKey, err)
	}
	return nil
}

func (m *moving) outcome() error {
	if len(m.away) > 0 { // it is tried again
		return errors.Join(slices.Collect(maps.Values(m.away))...)
	}
	if m.failed > 0 {
		return indexing.GiveUp(fmt.Errorf("not moved because they are missing or damaged: %s; the logs of the servers that ran this job name them", quantity.Of(m.failed, "file")))
	}
	return nil
}

// move moves one file to its feed's storage. It returns nil if the file is gone or
// already there, or the feed has another storage by now: the change of storage then
// queued another job.
func (m *Mover) move(ctx context.Context, f db.MisplacedFile, whole map[string]bool) error {
	there, fault, err := m.there(ctx, f, whole)
	if err != nil {
		return err
	}
	if fault == nil {
		_, err = m.refer(ctx, f, "")
	}
	if fault == nil && !errors.Is(err, proget.ErrNotFound) {
		return err
	}
	if due, err := m.due(ctx, f); err != nil || !due {
		return err
	}
	fresh, err := copyBlob(ctx, m.blobs, f.Blob, f.StorageID)
	if errors.Is(err, proget.ErrNotFound) || errors.Is(err, storage.ErrDamaged) {
		return m.missed(ctx, f, err)
	}
	if err != nil {
		return err
	}
	if fault != nil {
		replaced, err := m.db.ReplaceObject(ctx, there, fresh.Key)
		if err != nil {
			return err
		}
		if replaced {
			m.log.WarnContext(ctx, "a stored file was missing or damaged; it was replaced by a copy", "key", there.StorageKey, "error", fault)
		}
	}
	whole[fresh.Key] = true
	used, err := m.refer(ctx, f, fresh.Key)
	if err != nil || used {
		return err // after an uncertain outcome, the Collector sweeps a copy that is not used
	}
	return m.discard(ctx, f.StorageID, fresh.Key)
}

// there returns the blob with a file's bytes in the storage where it belongs, if there
// is one, and what is wrong with it: the file is about to give up its present blob for
// it. Many files may refer to it, so an object that was found intact is not read again.
func (m *Mover) there(ctx context.Context, f db.MisplacedFile, whole map[string]bool) (b db.BlobRow, fault, err error) {
	b, err = m.db.FindBlob(ctx, f.StorageID, f.Blob.SHA256, f.Blob.Size)
	if errors.Is(err, proget.ErrNotFound) {
		return b, nil, nil
	}
	if err != nil || whole[b.StorageKey] {
		return b, nil, err
	}
	fault, err = verify(ctx, m.blobs, b, nil)
	whole[b.StorageKey] = fault == nil && err == nil
	return b, fault, err
}

// discard deletes a copy, unless a row names it: then an attempt to refer to it that
// seemed to fail was committed.
func (m *Mover) discard(ctx context.Context, storageID int64, key string) error {
	named, err := m.db.HasObject(ctx, storageID, key)
	if err != nil || named {
		return err
	}
	target, err := m.blobs.Store(ctx, storageID)
	if err != nil {
		return err
	}
	return target.Delete(ctx, key)
}

// due reports whether a file must still be moved in this way.
func (m *Mover) due(ctx context.Context, f db.MisplacedFile) (bool, error) {
	now, err := m.db.ListMisplaced(ctx, f.FileID-1, f.FileID)
	return len(now) > 0 && now[0].Blob.StorageKey == f.Blob.StorageKey && now[0].StorageID == f.StorageID, err
}

// missed returns fault if the file still needs the blob that cannot be read.
func (m *Mover) missed(ctx context.Context, f db.MisplacedFile, fault error) error {
	due, err := m.due(ctx, f)
	if err == nil && due {
		return fault
	}
	return err
}

// refer makes a file refer to a blob in its feed's storage; see db.Tx.MoveFile. It
// changes nothing if the feed has another storage by now.
func (m *Mover) refer(ctx context.Context, f db.MisplacedFile, key string) (used bool, err error) {
	ch := &db.Change{FeedID: f.FeedID, Operation: rand.Text(), Kind: proget.VersionMoved, Actor: "storage move",
		PackageKey: f.PackageKey, VersionKey: f.VersionKey,
		Check: func(tx *db.Tx) error { return tx.HoldStorage(ctx, f) }}
	_, err = m.db.Change(ctx, ch, func(tx *db.Tx) error {
		used, err = tx.MoveFile(ctx, f, key)
		return err
	})
	if errors.Is(err, db.ErrOtherStorage) {
		return false, nil
	}
	return used, err
}
