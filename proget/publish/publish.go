// Package publish is the only write path. Every way in which a package can arrive ends
// in [Publisher.Publish]: it streams the body to storage and hashes it on the way, lets
// the feed type inspect the stored file, and records it in one short transaction that
// also appends to the feed's log.
//
// The order makes every interruption harmless. Until the transaction commits, storage
// has an object that nothing refers to; afterwards, every node has the complete
// package. A row without its object cannot exist.
package publish

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/internal/tracing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// A Publisher publishes and changes packages. It implements feed.Publisher.
type Publisher struct {
	db      *db.Store
	blobs   *storage.Set
	types   map[string]*feed.Type
	maxSize int64
	log     *slog.Logger
	guard   func(ctx context.Context, feedID int64) error
}

// Options configure a Publisher. The zero value is ready to use.
type Options struct {
	MaxSize int64        // maximum bytes of a package file; default 10 GiB
	Logger  *slog.Logger // default: slog.Default()

	// Guard may refuse a change of a feed by returning an error: before anything is stored,
	// for example while it is not certain that this is the installation's storage, and a
	// publication once more when its bytes have arrived.
	Guard func(ctx context.Context, feedID int64) error
}

// New returns a Publisher for feeds of the given types.
func New(store *db.Store, blobs *storage.Set, types []feed.Type, opts *Options) *Publisher {
	if opts == nil {
		opts = &Options{}
	}
	p := &Publisher{db: store, blobs: blobs, types: make(map[string]*feed.Type), maxSize: opts.MaxSize, log: opts.Logger, guard: opts.Guard}
	for i := range types {
		p.types[types[i].Name] = &types[i]
	}
	if p.maxSize == 0 {
		p.maxSize = 10 << 30
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	return p
}

// Publish stores a package file and records its version. When it returns nil, the
// version is durable and visible through every node; otherwise nothing has changed and
// the stored object is removed, unless the error is proget.ErrUnavailable or the
// context ended: then the database may have recorded the version. Without u.Replace, a
// file that is the whole of a version which exists is proget.ErrConflict, even byte for
// byte; a part or an extra that the version already has, byte for byte, succeeds and
// changes nothing. In both cases, the upload takes the place of the stored file if that
// is missing or damaged.
func (p *Publisher) Publish(ctx context.Context, u feed.Upload) (v *proget.Version, err error) {
	ctx, end := tracing.Start(ctx, "publish", attribute.String("feed", u.Feed.Name))
	defer func() { end(err) }()
	if err := p.allowed(ctx, u.Feed.ID); err != nil {
		return nil, err
	}
	t, ok := p.types[u.Feed.Type]
	if !ok {
		return nil, fmt.Errorf("feed %s has the unknown type %q", u.Feed.Name, u.Feed.Type)
	}
	blobs, err := p.blobs.Store(ctx, u.Feed.StorageID)
	if err != nil {
		return nil, fmt.Errorf("open the storage of feed %s: %w", u.Feed.Name, err)
	}
	var blob storage.Blob
	if u.Stored != nil {
		blob = *u.Stored
	} else if blob, err = p.store(ctx, blobs, t, u); err != nil {
		return nil, err
	}
	r := &recording{Publisher: p, blobs: blobs, typ: t, upload: u, blob: blob, stored: time.Now()}
	v, err = r.record(ctx)
	if u.Stored == nil && !r.used {
		r.discard(ctx, err)
	}
	return v, err
}

func (p *Publisher) allowed(ctx context.Context, feedID int64) error {
	if p.guard == nil {
		return nil
	}
	return p.guard(ctx, feedID)
}

// change makes a change other than a publication.
func (p *Publisher) change(ctx context.Context, ch *db.Change, fn func(*db.Tx) error) error {
	if err := p.allowed(ctx, ch.FeedID); err != nil {
		return err
	}
	_, err := p.db.Change(ctx, ch, fn)
	return err
}

func (p *Publisher) store(ctx context.Context, blobs *storage.Store, t *feed.Type, u feed.Upload) (storage.Blob, error) {
	blob, err := blobs.Put(ctx, u.Body, &storage.PutOptions{Algorithms: t.Algorithms, MaxSize: p.maxSize, Size: u.Size})
	source, broke := errors.AsType[*storage.SourceError](err)
	switch {
	case broke:
		return blob, feed.UploadError(source.Err)
	case errors.Is(err, proget.ErrTooLarge):
		return blob, proget.WrapError(proget.ErrTooLarge, err, "The package is larger than %s, the most that this server accepts.", quantity.Bytes(p.maxSize))
	case err != nil:
		return blob, fmt.Errorf("store the upload: %w", err)
	}
	return blob, nil
}

// recording is an upload that is stored but not yet recorded.
type recording struct {
	*Publisher
	blobs  *storage.Store
	typ    *feed.Type
	upload feed.Upload
	blob   storage.Blob
	stored time.Time
	known  *db.Upload // what the database has of the package and of the bytes
	fault  error      // what is wrong with the object of known.Blob
	used   bool       // the database refers to the upload's object
}

func (p *recording) record(ctx context.Context) (*proget.Version, error) {
	m, err := p.inspect(ctx)
	if err != nil {
		return nil, err
	}
	r, err := p.describe(m)
	if err != nil {
		return nil, err
	}
	if err := p.allowed(ctx, p.upload.Feed.ID); err != nil {
		return nil, err
	}
	if err := p.look(ctx, r); err != nil {
		return nil, err
	}
	v, err := p.commit(ctx, r)
	if err == nil {
		if p.used = v.Files[0].StorageKey == p.blob.Key; p.used && p.fault != nil {
			p.warn(ctx, p.known.Blob.StorageKey, p.fault)
		}
		return v, nil
	}
	if isOpen(err) {
		return nil, err
	}
	key, failed := p.mend(ctx, r)
	switch {
	case failed != nil && errors.Is(err, proget.ErrConflict) && !errors.As(failed, new(*recordError)): // the version exists, whatever has become of its file
		p.log.WarnContext(ctx, "a stored file could not be checked", "package", r.Name, "version", r.Version, "error", failed)
		return nil, err
	case failed != nil:
		return nil, failed
	case !errors.Is(err, errSame):
		return nil, err
	case key != "":
		v.Files[0].StorageID, v.Files[0].StorageKey = p.upload.Feed.StorageID, key
	}
	return v, nil
}

// look asks the database for the package and the upload's bytes, and storage whether it
// still has them.
func (p *recording) look(ctx context.Context, r *record) (err error) {
	p.known, err = p.db.FindUpload(ctx, p.upload.Feed.ID, r.ref.NameKey, r.file)
	if err != nil {
		return fmt.Errorf("look for the package and its bytes: %w", err)
	}
	if b := p.known.Blob; b.ID != 0 {
		p.fault, err = p.examine(ctx, proget.File{StorageID: b.StorageID, StorageKey: b.StorageKey, Size: b.Size, Digests: proget.Digests{proget.SHA256: b.SHA256}})
	}
	p.known.Mend, p.known.Stored = p.fault != nil, p.upload.Stored != nil
	return err
}

// commit is the transaction. If the version has the same file already, it returns
// errSame besides the version.
func (p *recording) commit(ctx context.Context, r *record) (*proget.Version, error) {
	ch := change(r.ref, proget.VersionPublished, p.upload.By)
	var v *proget.Version
	var misfit error
	ch.Check = func(tx *db.Tx) error {
		misfit = p.fits(ctx, tx, ch, p.upload.Feed, v.Name)
		return misfit
	}
	_, err := p.db.Change(ctx, ch, func(tx *db.Tx) error {
		if err := p.inTime(); err != nil {
			return err
		}
		ch.Kind, ch.Packages, ch.Versions, ch.Bytes = proget.VersionPublished, 0, 0, 0
		e := &entering{recording: p, tx: tx, ch: ch}
		entered, err := e.enter(ctx, r)
		if err == nil || errors.Is(err, errSame) { // on another error, keep v: an earlier attempt may have been committed after all
			v = entered
		}
		return err
	})
	switch {
	case err == nil, errors.Is(err, errSame):
		return v, err
	case errors.Is(err, proget.ErrConflict) && misfit == nil:
		return nil, proget.WrapError(proget.ErrConflict, err, "%s", p.exists(r))
	}
	return nil, &recordError{fmt.Errorf("record %s %s: %w", r.Name, r.Version, err)}
}

// inTime returns an error if the process was suspended since the bytes were stored, so
// that the object may be gone.
func (p *recording) inTime() error {
	if time.Since(p.stored) > db.RecordWithin {
		return proget.Errorf(proget.ErrUnavailable, "The upload could not be recorded within %s. Send it again.", db.RecordWithin)
	}
	return nil
}

// recordError is an error of the transaction, which may have been committed
// nevertheless.
type recordError struct{ error }

func (e *recordError) Unwrap() error { return e.error }

func (p *recording) inspect(ctx context.Context) (_ *feed.Manifest, err error) {
	u, blob := p.upload, p.blob
	ctx, end := tracing.Start(ctx, "inspect", attribute.Int64("size", blob.Size))
	defer func() { end(err) }()
	content, err := p.blobs.ReaderAt(ctx, blob.Key)
	if errors.Is(err, proget.ErrNotFound) { // not the client's mistake: it did not ask for an object
		return nil, proget.WrapError(proget.ErrUnavailable, err, "Storage did not keep the upload: send it again.")
	}
	if err != nil {
		return nil, fmt.Errorf("read the upload back: %w", err)
	}
	defer content.Close()
	if content.Size() != blob.Size { // storage has acknowledged bytes that it did not keep
		return nil, proget.WrapError(proget.ErrUnavailable, fmt.Errorf("%w: %d bytes of %d", storage.ErrDamaged, content.Size(), blob.Size),
			"Storage has kept only a part of the upload: send it again.")
	}
	m, err := p.typ.Inspect(ctx, feed.File{ReaderAt: content, Size: blob.Size, Name: u.Name, Digests: blob.Digests})
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("feed type %s: Inspect returned neither a manifest nor an error", p.typ.Name)
	}
	if u.Check != nil {
		if err := u.Check(m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// discard removes an object that no row refers to. If that fails, garbage collection
// sweeps it. If the outcome of the transaction is unknown, discard keeps the object,
// because the row may exist.
func (p *recording) discard(ctx context.Context, why error) {
	key := p.blob.Key
	if _, begun := errors.AsType[*recordError](why); begun && isOpen(why) {
		p.log.WarnContext(ctx, "it is not certain that an upload was recorded; if not, garbage collection will remove its object", "key", key, "error", why)
		return
	}
	if err := p.blobs.Discard(ctx, key); err != nil {
		p.log.WarnContext(ctx, "an unused object could not be removed; it is left to garbage collection", "key", key, "error", err)
	}
}

// isOpen reports whether err does not say if a transaction was committed.
func isOpen(err error) bool {
	return errors.Is(err, proget.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// find finds the version that is to be changed and locks it, so that no file can join
// it until the transaction ends. If ref names a file, it must be the only one: the
// server could not restore a file that was deleted from several.
func find(ctx context.Context, tx *db.Tx, ref feed.Ref) (db.VersionRow, error) {
	v, err := tx.FindVersion(ctx, ref.Feed.ID, ref.NameKey, ref.VersionKey)
	if err == nil && ref.ID != 0 && ref.ID != v.ID {
		err = proget.Errorf(proget.ErrNotFound, "Version %s of %s was replaced.", ref.VersionKey, ref.NameKey)
	}
	if err != nil || ref.File == "" {
		return v, err
	}
	if _, err := tx.FindFile(ctx, v.ID, ref.File); err != nil {
		return v, err
	}
	n, err := tx.CountFiles(ctx, v.ID)
	if err == nil && n > 1 {
		err = proget.Errorf(proget.ErrInvalid, "%s %s has %d files, and this server changes and deletes only whole versions: leave out the qualifier to do so.", ref.NameKey, ref.VersionKey, n)
	}
	return v, err
}

// SetStatus changes the status of a version; edit edits the present one. It returns
// proget.ErrInvalid for a new reason of a deprecation that exceeds proget.MaxReason.
func (p *Publisher) SetStatus(ctx context.Context, ref feed.Ref, by proget.Principal, edit func(*proget.Status)) error {
	return p.change(ctx, change(ref, proget.VersionStatus, by), func(tx *db.Tx) error {
		v, err := find(ctx, tx, ref)
		if err != nil {
			return err
		}
		before := v.Status.Deprecated
		edit(&v.Status)
		if reason := v.Status.Deprecated; reason != before && utf8.RuneCountInString(reason) > proget.MaxReason {
			return proget.Errorf(proget.ErrInvalid, "The reason for deprecating %s %s is longer than %d characters.", ref.NameKey, ref.VersionKey, proget.MaxReason)
		}
		return tx.SetStatus(ctx, v.ID, v.Status)
	})
}

// Edit changes the feed type's own description of a version. edit gets the present one
// and returns the new one.
func (p *Publisher) Edit(ctx context.Context, ref feed.Ref, by proget.Principal, edit func(data json.RawMessage) (any, error)) error {
	return p.change(ctx, change(ref, proget.VersionEdited, by), func(tx *db.Tx) error {
		v, err := find(ctx, tx, ref)
		if err != nil {
			return err
		}
		data, _, err := tx.ReadManifest(ctx, v.ID)
		if err != nil {
			return err
		}
		edited, err := edit(data)
		if err != nil {
			return err
		}
		if data, err = encode(edited); err != nil {
			return err
		}
		return tx.SetManifest(ctx, v.ID, orNull(data))
	})
}

// Tag makes a tag of the version's package point at the version.
func (p *Publisher) Tag(ctx context.Context, ref feed.Ref, tag string, by proget.Principal) error {
	if err := checkTag(tag); err != nil {
		return err
	}
	return p.change(ctx, change(ref, proget.TagMoved, by), func(tx *db.Tx) error {
		v, err := find(ctx, tx, ref)
		if err != nil {
			return err
		}
		return tx.SetTag(ctx, v.PackageID, tag, v.ID)
	})
}

// Untag removes a tag.
func (p *Publisher) Untag(ctx context.Context, ref feed.Ref, tag string, by proget.Principal) error {
	ref.VersionKey = ""
	return p.change(ctx, change(ref, proget.TagDeleted, by), func(tx *db.Tx) error {
		return tx.DeleteTag(ctx, ref.Feed.ID, ref.NameKey, tag)
	})
}

// Delete removes a version. One that is blocked it removes only if ref.AllowBlocked, and
// returns proget.ErrConflict otherwise.
func (p *Publisher) Delete(ctx context.Context, ref feed.Ref, by proget.Principal) error {
	_, err := p.DeleteIf(ctx, ref, by, 0, func(*db.Tx) error { return nil })
	return err
}

// DeleteIf removes a version and returns the log position of the deletion. If the
// package has changed since a position of the feed's log, it returns db.ErrChanged;
// since 0 allows any change. If check returns an error, DeleteIf returns that error.
// check runs in the transaction.
func (p *Publisher) DeleteIf(ctx context.Context, ref feed.Ref, by proget.Principal, since int64, check func(*db.Tx) error) (seq int64, err error) {
	ch := change(ref, proget.VersionDeleted, by)
	if since > 0 {
		ch.Check = func(tx *db.Tx) error { return tx.Unchanged(ctx, ch, since) }
	}
	if err := p.allowed(ctx, ch.FeedID); err != nil {
		return 0, err
	}
	return p.db.Change(ctx, ch, func(tx *db.Tx) error {
		ch.Packages, ch.Versions, ch.Bytes = 0, 0, 0
		v, err := find(ctx, tx, ref)
		if err == nil && v.Status.Blocked && !ref.AllowBlocked {
			err = proget.Errorf(proget.ErrConflict, "%s %s is blocked: unblock it before you delete it, or delete it on its page.", ref.NameKey, ref.VersionKey)
		}
		if err == nil {
			err = check(tx)
		}
		if err != nil {
			return err
		}
		return remove(ctx, tx, v, ch)
	})
}

// Restore restores a deleted version, as long as garbage collection has not taken its
// files. It returns proget.ErrNotFound if the version is gone for good,
// proget.ErrConflict if it was published again, and the error of Type.Fits if its
// package no longer fits.
func (p *Publisher) Restore(ctx context.Context, f *proget.Feed, deletionID int64, by proget.Principal) (*proget.Version, error) {
	var v *proget.Version
	ch := change(feed.Ref{Feed: f}, proget.VersionPublished, by)
	var misfit error
	ch.Check = func(tx *db.Tx) error {
		misfit = p.fits(ctx, tx, ch, f, v.Name)
		return misfit
	}
	err := p.change(ctx, ch, func(tx *db.Tx) error {
		back, key, created, err := tx.RestoreVersion(ctx, f.ID, deletionID)
		if err != nil { // keep v: an earlier attempt may have been committed after all
			return err
		}
		v, ch.PackageKey = back, key
		ch.VersionKey, ch.Packages, ch.Versions, ch.Bytes = v.Key, 0, 1, 0
		for _, file := range v.Files {
			ch.Bytes += file.Size
		}
		if created {
			ch.Packages++
		}
		return nil
	})
	if errors.Is(err, proget.ErrConflict) && misfit == nil {
		return nil, proget.WrapError(proget.ErrConflict, err, "The version has been published again since: delete the new one before bringing the old one back.")
	}
	return v, err
}

// fits asks the feed's type whether a new package may stand beside the existing ones.
func (p *Publisher) fits(ctx context.Context, tx *db.Tx, ch *db.Change, f *proget.Feed, name string) error {
	t := p.types[f.Type]
	if t == nil || t.Fits == nil || ch.Packages <= 0 {
		return nil
	}
	return t.Fits(ctx, name, present{tx, f.ID})
}

// present implements feed.Present in a transaction.
type present struct {
	tx     *db.Tx
	feedID int64
}

func (p present) Has(ctx context.Context, nameKey string) (bool, error) {
	return p.tx.HasPackage(ctx, p.feedID, nameKey)
}

func (p present) HasPrefix(ctx context.Context, prefix string) (bool, error) {
	return p.tx.HasPackages(ctx, p.feedID, prefix)
}

func remove(ctx context.Context, tx *db.Tx, v db.VersionRow, ch *db.Change) error {
	bytes, last, err := tx.DeleteVersion(ctx, v, ch.Actor)
	ch.Versions--
	ch.Bytes -= bytes
	if last {
		ch.Packages--
	}
	return err
}

// change prepares a log entry with a new operation ID.
func change(ref feed.Ref, kind proget.Change, by proget.Principal) *db.Change {
	return &db.Change{
		FeedID: ref.Feed.ID, Operation: rand.Text(), Actor: by.String(),
		Kind: kind, PackageKey: ref.NameKey, VersionKey: ref.VersionKey,
	}
}
