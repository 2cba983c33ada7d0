// Package upload handles uploads in several requests, each of which may reach a
// different server: chunks in order, as container registries use, or parts at any
// offset, as asset directories use.
//
// Each part is a separate object in storage. So nothing is ever written twice to the
// same place, and a server that was suspended cannot damage what another has received
// meanwhile. The database records where each part belongs, how far an upload is, and
// the state of its digests. An upload of one part is finished without a copy. Other
// parts are joined by storage itself if it can, or are read and written once more.
//
// A job discards abandoned uploads after some time; garbage collection then frees their
// objects.
package upload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// Uploads manages the unfinished uploads of an installation. It implements feed.Uploads
// and is safe for concurrent use.
type Uploads struct {
	db    *db.Store
	blobs *storage.Set
	keys  *auth.Keyring
	opts  Options
}

// Options configure Uploads. The zero value is ready to use.
type Options struct {
	MaxSize int64        // maximum bytes of a whole upload; default 10 GiB
	Logger  *slog.Logger // default: slog.Default()
}

// New returns the Uploads of an installation. The keys seal what Offer returns.
func New(store *db.Store, blobs *storage.Set, keys *auth.Keyring, opts *Options) *Uploads {
	u := &Uploads{db: store, blobs: blobs, keys: keys}
	if opts != nil {
		u.opts = *opts
	}
	if u.opts.MaxSize == 0 {
		u.opts.MaxSize = 10 << 30
	}
	if u.opts.Logger == nil {
		u.opts.Logger = slog.Default()
	}
	return u
}

// key returns the upload's name in the database, whose length is bounded whatever the
// client has chosen.
func key(r feed.UploadRef) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q", r.Feed.ID, r.Scope, r.ID))
	return hex.EncodeToString(sum[:])
}

// Begin begins an upload. Besides SHA-256, digests of the given algorithms are computed
// if the chunks come in order. It returns proget.ErrConflict if there is an upload of
// this name.
func (u *Uploads) Begin(ctx context.Context, r feed.UploadRef, by proget.Principal, algorithms ...proget.Algorithm) error {
	p, err := empty(r, by.String(), algorithms)
	if err != nil {
		return err
	}
	err = u.db.CreatePartial(ctx, p)
	if errors.Is(err, proget.ErrConflict) {
		err = proget.WrapError(proget.ErrConflict, err, "There is an upload %.60q already.", r.ID)
	}
	return err
}

// empty returns an upload of which nothing has arrived.
func empty(r feed.UploadRef, by string, algorithms []proget.Algorithm) (*db.Partial, error) {
	sums := storage.Sums{}
	for _, a := range algorithms {
		sums[a] = nil
	}
	text, err := json.Marshal(sums)
	return &db.Partial{Key: key(r), StorageID: r.Feed.StorageID, Sums: string(text), Owner: by}, err
}

// An offer is the content of the token that Offer returns.
type offer struct {
	By         string             `json:"by"`
	Made       int64              `json:"made"` // seconds since 1970
	Algorithms []proget.Algorithm `json:"algorithms,omitempty"`
}

// offered is how long an offer is valid.
const offered = 24 * time.Hour

// Offer returns a sealed token. Set as feed.UploadRef.Offer, it lets the upload begin
// with its first bytes on any node; nothing is written until then. It is valid for 24
// hours, any number of times.
func (u *Uploads) Offer(r feed.UploadRef, by proget.Principal, algorithms ...proget.Algorithm) (string, error) {
	text, err := json.Marshal(offer{by.String(), time.Now().Unix(), algorithms})
	if err != nil {
		return "", err
	}
	return u.keys.Seal("upload "+key(r), text), nil
}

// find returns an upload, and whether it has begun or is only offered. It returns
// proget.ErrNotFound if it is neither.
func (u *Uploads) find(ctx context.Context, r feed.UploadRef) (p *db.Partial, begun bool, err error) {
	p, err = u.db.FindPartial(ctx, key(r))
	if !errors.Is(err, proget.ErrNotFound) || r.Offer == "" {
		return p, true, err
	}
	text, sealed := u.keys.Open("upload "+key(r), r.Offer)
	var o offer
	if sealed != nil || json.Unmarshal(text, &o) != nil || time.Since(time.Unix(o.Made, 0)) > offered {
		return nil, false, err
	}
	p, err = empty(r, o.By, o.Algorithms)
	return p, false, err
}

// Size returns how many bytes have arrived in order, or proget.ErrNotFound.
func (u *Uploads) Size(ctx context.Context, r feed.UploadRef) (int64, error) {
	p, _, err := u.find(ctx, r)
	if err != nil {
		return 0, err
	}
	return p.Size, nil
}

// Append stores the chunk that begins at offset, or the next chunk if offset is -1, and
// returns how many bytes have arrived including it. If body fails, nothing of the chunk
// is kept: the client asks for the size and sends it again. It returns a
// feed.OffsetError if another chunk is due.
func (u *Uploads) Append(ctx context.Context, r feed.UploadRef, offset int64, body io.Reader) (size int64, err error) {
	p, begun, err := u.find(ctx, r)
	if err != nil {
		return 0, err
	}
	return u.append(ctx, p, begun, offset, body)
}

func (u *Uploads) append(ctx context.Context, p *db.Partial, begun bool, offset int64, body io.Reader) (size int64, err error) {
	o, err := u.putChunk(ctx, p, offset, body, nil)
	if err != nil {
		return p.Size, err
	}
	if o.Size == 0 { // some clients send an empty chunk at the end
		o.discard(ctx)
		return p.Size, nil
	}
	text, err := json.Marshal(o.Sums)
	if err != nil {
		return p.Size, err
	}
	err = o.record(ctx, func() error {
		if begun {
			return u.db.AppendPart(ctx, p.Key, o.part(p.Size), string(text))
		}
		first := *p
		first.Sums = string(text)
		return u.db.BeginPartial(ctx, &first, o.part(0))
	})
	if errors.Is(err, proget.ErrStale) {
		return u.overtaken(ctx, p)
	}
	return p.Size + o.Size, err
}

// putChunk stores the chunk of an upload that begins at offset, or the next one if
// offset is -1. It also computes the digests of the algorithms in beside.
func (u *Uploads) putChunk(ctx context.Context, p *db.Partial, offset int64, body io.Reader, beside proget.Digests) (*object, error) {
	if _, done := finished(p); done {
		return nil, takesNoMore()
	}
	if offset != -1 && offset != p.Size {
		return nil, &feed.OffsetError{Size: p.Size}
	}
	sums, err := readSums(p)
	if err != nil {
		return nil, err
	}
	algorithms := slices.Concat(slices.Collect(maps.Keys(sums)), slices.Collect(maps.Keys(beside)))
	o, err := u.put(ctx, p, body, &storage.PutOptions{Algorithms: algorithms, After: sums, MaxSize: max(u.opts.MaxSize-p.Size, 1)})
	if err == nil && p.Size+o.Size > u.opts.MaxSize { // checked here because a limit of 0 would mean none
		o.discard(ctx)
		err = tooLarge(nil)
	}
	return o, err
}

func takesNoMore() error {
	return proget.WrapError(proget.ErrInvalid, feed.ErrFinished, "The upload is already finished: it accepts no more data.")
}

// overtaken returns the error for a client whose chunk lost against another one or the
// end of the upload.
func (u *Uploads) overtaken(ctx context.Context, p *db.Partial) (size int64, err error) {
	p, err = u.db.FindPartial(ctx, p.Key)
	if err != nil {
		return 0, err
	}
	if _, done := finished(p); done {
		return p.Size, takesNoMore()
	}
	return p.Size, &feed.OffsetError{Size: p.Size}
}

// PutPart stores the part of size bytes that begins at offset; parts may arrive in any
// order. It returns proget.ErrInvalid if the part has fewer bytes, overlaps one that has
// arrived or comes after the end of the upload (feed.ErrFinished), and
// proget.ErrTooLarge if it has more bytes. Sending a part again is not an error; the
// first one counts.
func (u *Uploads) PutPart(ctx context.Context, r feed.UploadRef, offset, size int64, body io.Reader) error {
	if offset < 0 || size <= 0 || offset > u.opts.MaxSize-size {
		return proget.Errorf(proget.ErrInvalid, "A part has at least 1 byte, and the whole upload at most %s.", quantity.Bytes(u.opts.MaxSize))
	}
	p, err := u.db.FindPartial(ctx, key(r))
	if err != nil {
		return err
	}
	o, err := u.put(ctx, p, body, &storage.PutOptions{MaxSize: size})
	if err != nil {
		return err
	}
	if o.Size != size {
		o.discard(ctx)
		return proget.Errorf(proget.ErrInvalid, "The part has %d bytes instead of %d.", o.Size, size)
	}
	err = o.record(ctx, func() error { return u.db.PutPart(ctx, p.Key, o.part(offset)) })
	if errors.Is(err, db.ErrPartExists) { // the response to the first one was lost
		if !errors.Is(err, db.ErrUncertain) {
			o.discard(ctx)
		}
		return nil
	}
	if errors.Is(err, proget.ErrStale) {
		return takesNoMore()
	}
	return err
}

func (u *Uploads) put(ctx context.Context, p *db.Partial, body io.Reader, opts *storage.PutOptions) (*object, error) {
	blobs, err := u.blobs.Store(ctx, p.StorageID)
	if err != nil {
		return nil, err
	}
	blob, err := blobs.Put(ctx, body, opts)
	if source, broke := errors.AsType[*storage.SourceError](err); broke {
		err = feed.UploadError(source.Err)
	} else if errors.Is(err, proget.ErrTooLarge) {
		err = tooLarge(err)
	}
	return u.object(blobs, p, blob), err
}

func tooLarge(err error) error {
	return proget.WrapError(proget.ErrTooLarge, err, "The upload is larger than this server accepts, or larger than announced.")
}

// An object is stored but not yet recorded.
type object struct {
	storage.Blob
	in        *storage.Store
	storageID int64
	stored    time.Time
	known     bool // a row already names it
	log       *slog.Logger
}

func (u *Uploads) object(in *storage.Store, p *db.Partial, b storage.Blob) *object {
	return &object{Blob: b, in: in, storageID: p.StorageID, stored: time.Now(), log: u.opts.Logger}
}

// part returns the object as the part that begins at offset.
func (o *object) part(offset int64) db.Part {
	return db.Part{Offset: offset, Blob: db.BlobRow{Size: o.Size, StorageID: o.storageID, StorageKey: o.Key}}
}

func (o *object) file() *proget.File {
	return &proget.File{Size: o.Size, Digests: o.Digests, StorageID: o.storageID, StorageKey: o.Key}
}

// record calls fn to record the object, and removes the object if it is certain that fn
// was refused. If a row may name the object, record leaves it to the sweep: an earlier
// attempt that committed unnoticed can be why a later one is refused.
func (o *object) record(ctx context.Context, fn func() error) error {
	if !o.known && time.Since(o.stored) > db.RecordWithin { // the process was suspended: the object may be gone
		return proget.Errorf(proget.ErrUnavailable, "The upload could not be recorded within %s. Send it again.", db.RecordWithin)
	}
	err := fn()
	refused := errors.Is(err, proget.ErrInvalid) || errors.Is(err, proget.ErrNotFound) || errors.Is(err, proget.ErrStale)
	if refused && !errors.Is(err, db.ErrUncertain) {
		o.discard(ctx)
	}
	return err
}

func (o *object) discard(ctx context.Context) {
	if o.known {
		return
	}
	if err := o.in.Discard(ctx, o.Key); err != nil {
		o.log.WarnContext(ctx, "a part of an upload that was refused could not be removed; it is left to garbage collection", "key", o.Key, "error", err)
	}
}

// Cancel discards an upload, or what is held. It returns nil if there is none.
func (u *Uploads) Cancel(ctx context.Context, r feed.UploadRef) error {
	return u.db.DeletePartial(ctx, key(r))
}
