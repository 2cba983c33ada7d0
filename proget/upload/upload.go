// Package upload takes uploads that come in several requests, each of which may
// reach another server: chunks in order, as registries of container images take
// them, or parts at any offset, as asset directories do.
//
// Each part is an object of its own in storage, so that nothing is ever written
// twice to one place, and a server that stood still cannot spoil what another
// has taken meanwhile. Where a part belongs, how far an upload is, and the state
// of its digests are in the database. An upload of one part is finished without
// a copy. Others are joined by storage itself where it can, or are read once more.
//
// What is abandoned is given up by a job after some time; garbage collection
// frees it.
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
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// Uploads are the uploads under way in an installation. They implement
// feed.Uploads, and are safe for concurrent use.
type Uploads struct {
	db    *db.Store
	blobs *storage.Set
	opts  Options
}

// Options configure Uploads. The zero value is ready to use.
type Options struct {
	MaxSize int64        // of a whole upload, in bytes; default 10 GiB
	Logger  *slog.Logger // default: slog.Default()
}

// New returns the uploads of an installation.
func New(store *db.Store, blobs *storage.Set, opts *Options) *Uploads {
	u := &Uploads{db: store, blobs: blobs}
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

// key is the upload's name in the database, of bounded length whatever the
// client has chosen.
func key(r feed.UploadRef) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q", r.Feed.ID, r.Scope, r.ID))
	return hex.EncodeToString(sum[:])
}

// Begin begins an upload of which the digests of the given algorithms are wanted
// beside SHA-256, if it comes in order. It returns proget.ErrConflict if there is
// one of this name.
func (u *Uploads) Begin(ctx context.Context, r feed.UploadRef, by proget.Principal, algorithms ...proget.Algorithm) error {
	sums := storage.Sums{}
	for _, a := range algorithms {
		sums[a] = nil
	}
	text, err := json.Marshal(sums)
	if err != nil {
		return err
	}
	err = u.db.CreatePartial(ctx, &db.Partial{Key: key(r), StorageID: r.Feed.StorageID, Sums: string(text), Owner: by.String()})
	if errors.Is(err, proget.ErrConflict) {
		err = proget.WrapError(proget.ErrConflict, err, "There is an upload %.60q already.", r.ID)
	}
	return err
}

// Size returns how many bytes have arrived in order, or proget.ErrNotFound.
func (u *Uploads) Size(ctx context.Context, r feed.UploadRef) (int64, error) {
	p, err := u.db.FindPartial(ctx, key(r))
	if err != nil {
		return 0, err
	}
	return p.Size, nil
}

// Append takes the chunk that begins at offset, or the next if that is -1, and
// returns how many bytes have arrived with it. A chunk that breaks off leaves nothing: the client asks for
// the size and sends it again. feed.OffsetError says that another chunk is due.
func (u *Uploads) Append(ctx context.Context, r feed.UploadRef, offset int64, body io.Reader) (size int64, err error) {
	p, err := u.db.FindPartial(ctx, key(r))
	if err != nil {
		return 0, err
	}
	return u.append(ctx, p, offset, body)
}

func (u *Uploads) append(ctx context.Context, p *db.Partial, offset int64, body io.Reader) (size int64, err error) {
	blobs, blob, err := u.putChunk(ctx, p, offset, body, nil)
	if err != nil || blob.Size == 0 { // some clients send an empty chunk at the end
		return p.Size, err
	}
	text, err := json.Marshal(blob.Sums)
	if err != nil {
		return p.Size, err
	}
	err = u.db.AppendPart(ctx, p.Key, part(p, p.Size, blob), string(text))
	if errors.Is(err, proget.ErrStale) {
		u.discard(ctx, blobs, blob.Key)
		return u.overtaken(ctx, p)
	}
	return p.Size + blob.Size, u.recorded(ctx, blobs, blob.Key, err)
}

// putChunk stores the chunk of an upload that begins at offset, or at -1 for the
// next, unless it is empty. Digests of the algorithms beside are wanted, too.
func (u *Uploads) putChunk(ctx context.Context, p *db.Partial, offset int64, body io.Reader, beside proget.Digests) (*storage.Store, storage.Blob, error) {
	if _, done := finished(p); done {
		return nil, storage.Blob{}, proget.WrapError(proget.ErrInvalid, feed.ErrFinished, "The upload was finished already: it takes no more.")
	}
	if offset != -1 && offset != p.Size {
		return nil, storage.Blob{}, &feed.OffsetError{Size: p.Size}
	}
	sums, err := readSums(p)
	if err != nil {
		return nil, storage.Blob{}, err
	}
	algorithms := slices.Concat(slices.Collect(maps.Keys(sums)), slices.Collect(maps.Keys(beside)))
	blobs, blob, err := u.put(ctx, p, body, &storage.PutOptions{Algorithms: algorithms, After: sums, MaxSize: max(u.opts.MaxSize-p.Size, 1)})
	switch {
	case err != nil:
	case p.Size+blob.Size > u.opts.MaxSize: // 0 would have been no limit
		u.discard(ctx, blobs, blob.Key)
		err = tooLarge(nil)
	case blob.Size == 0:
		err = blobs.Delete(ctx, blob.Key)
	}
	return blobs, blob, err
}

// overtaken tells the client whose chunk another was faster than.
func (u *Uploads) overtaken(ctx context.Context, p *db.Partial) (size int64, err error) {
	p, err = u.db.FindPartial(ctx, p.Key)
	if err != nil {
		return 0, err
	}
	return p.Size, &feed.OffsetError{Size: p.Size}
}

// PutPart takes a part of size bytes that begins at offset, in any order. It
// returns proget.ErrInvalid if it overlaps one that has arrived or has another
// size; one that comes again is no error, and the first counts.
func (u *Uploads) PutPart(ctx context.Context, r feed.UploadRef, offset, size int64, body io.Reader) error {
	if offset < 0 || size <= 0 || offset > u.opts.MaxSize-size {
		return proget.Errorf(proget.ErrInvalid, "A part has at least one byte, and the whole at most %d.", u.opts.MaxSize)
	}
	p, err := u.db.FindPartial(ctx, key(r))
	if err != nil {
		return err
	}
	blobs, blob, err := u.put(ctx, p, body, &storage.PutOptions{MaxSize: size})
	if err != nil {
		return err
	}
	if blob.Size != size {
		u.discard(ctx, blobs, blob.Key)
		return proget.Errorf(proget.ErrInvalid, "The part has %d bytes instead of %d.", blob.Size, size)
	}
	err = u.db.PutPart(ctx, p.Key, part(p, offset, blob))
	if errors.Is(err, proget.ErrConflict) { // it came before, and its answer was lost
		u.discard(ctx, blobs, blob.Key)
		return nil
	}
	return u.recorded(ctx, blobs, blob.Key, err)
}

func part(p *db.Partial, offset int64, b storage.Blob) db.Part {
	return db.Part{Offset: offset, Blob: db.BlobRow{Size: b.Size, StorageID: p.StorageID, StorageKey: b.Key}}
}

func (u *Uploads) put(ctx context.Context, p *db.Partial, body io.Reader, opts *storage.PutOptions) (*storage.Store, storage.Blob, error) {
	blobs, err := u.blobs.Store(ctx, p.StorageID)
	if err != nil {
		return nil, storage.Blob{}, err
	}
	blob, err := blobs.Put(ctx, body, opts)
	switch {
	case errors.Is(err, proget.ErrTooLarge):
		err = tooLarge(err)
	case errors.As(err, new(*storage.SourceError)):
		err = proget.WrapError(proget.ErrInvalid, err, "The upload ended before this part of it was complete: send the part again.")
	}
	return blobs, blob, err
}

func tooLarge(err error) error {
	return proget.WrapError(proget.ErrTooLarge, err, "The upload is larger than it may be, or than was announced.")
}

// recorded removes a part's object if it was not recorded for certain to be
// refused. What stays is nobody's, and swept.
func (u *Uploads) recorded(ctx context.Context, blobs *storage.Store, key string, err error) error {
	if errors.Is(err, proget.ErrInvalid) || errors.Is(err, proget.ErrNotFound) {
		u.discard(ctx, blobs, key)
	}
	return err
}

func (u *Uploads) discard(ctx context.Context, blobs *storage.Store, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := blobs.Delete(ctx, key); err != nil {
		u.opts.Logger.WarnContext(ctx, "a part of an upload that was refused could not be removed; it is left to garbage collection", "key", key, "error", err)
	}
}

// Cancel gives an upload up. That there is none is no error.
func (u *Uploads) Cancel(ctx context.Context, r feed.UploadRef) error {
	return u.db.DeletePartial(ctx, key(r))
}

// Finish ends an upload and returns what was uploaded, as one stored object, for
// feed.Upload.Stored. The upload stays, finished, until it is canceled:
// who is interrupted finishes it again. size and want are what the client claims,
// size -1 for nothing; if one differs, or a part is missing, Finish returns
// proget.ErrInvalid and the upload goes on.
func (u *Uploads) Finish(ctx context.Context, r feed.UploadRef, size int64, want proget.Digests) (storage.Blob, error) {
	return u.finish(ctx, r, size, want, u.end)
}

// Keep ends an upload and holds what was uploaded under the name as, in one commit:
// the upload is gone then. last, if it is not nil, is the chunk that begins at offset,
// and taken before as Append does; what comes as one such chunk costs the least. want
// is what the client claims; if it differs, or a part is missing, Keep returns
// proget.ErrInvalid and the upload goes on, without a chunk that was the only one.
func (u *Uploads) Keep(ctx context.Context, r, as feed.UploadRef, by proget.Principal, want proget.Digests, offset int64, last io.Reader) error {
	held := &db.Partial{Key: key(as), Owner: by.String()}
	if last != nil {
		if kept, err := u.keepLast(ctx, key(r), held, want, offset, last); kept || err != nil {
			return err
		}
	}
	_, err := u.finish(ctx, r, -1, want, func(ctx context.Context, p *db.Partial, f *proget.File, fresh bool) error {
		held.StorageID, held.Size = f.StorageID, f.Size
		return u.db.KeepPartial(ctx, p.Key, f, fresh, held)
	})
	return err
}

// keepLast takes the last chunk of an upload, and keeps that if it is the only one.
func (u *Uploads) keepLast(ctx context.Context, key string, held *db.Partial, want proget.Digests, offset int64, body io.Reader) (kept bool, err error) {
	p, err := u.db.FindPartial(ctx, key)
	if err != nil {
		return false, err
	}
	if p.Size == 0 {
		return u.keepWhole(ctx, p, held, want, offset, body)
	}
	_, err = u.append(ctx, p, offset, body)
	if errors.Is(err, feed.ErrFinished) { // it came before, and its answer was lost
		err = nil
	}
	return false, err
}

// keepWhole keeps an upload that comes as one chunk, unless that is empty.
func (u *Uploads) keepWhole(ctx context.Context, p, held *db.Partial, want proget.Digests, offset int64, body io.Reader) (kept bool, err error) {
	for algorithm := range want {
		if _, err := algorithm.New(); err != nil {
			return false, unknownAlgorithm(algorithm, err)
		}
	}
	blobs, blob, err := u.putChunk(ctx, p, offset, body, want)
	if err != nil || blob.Size == 0 {
		return false, err
	}
	if err := compare(blob.Digests, want); err != nil {
		u.discard(ctx, blobs, blob.Key)
		return false, err
	}
	err = u.db.KeepWhole(ctx, p.Key, &proget.File{Size: blob.Size, Digests: blob.Digests, StorageID: p.StorageID, StorageKey: blob.Key}, held)
	if errors.Is(err, proget.ErrStale) {
		u.discard(ctx, blobs, blob.Key)
		_, err = u.overtaken(ctx, p)
		return false, err
	}
	return true, u.recorded(ctx, blobs, blob.Key, err)
}

func unknownAlgorithm(a proget.Algorithm, err error) error {
	return proget.WrapError(proget.ErrInvalid, err, "The digest algorithm %.40q is not known here.", a)
}

// finish ends an upload; record records what it makes of it, in an object that has
// no row yet if it is fresh.
func (u *Uploads) finish(ctx context.Context, r feed.UploadRef, size int64, want proget.Digests,
	record func(ctx context.Context, p *db.Partial, f *proget.File, fresh bool) error) (storage.Blob, error) {
	p, parts, err := u.db.LoadPartial(ctx, key(r))
	if err != nil {
		return storage.Blob{}, err
	}
	total, err := whole(parts)
	if err != nil {
		return storage.Blob{}, err
	}
	if size >= 0 && size != total {
		return storage.Blob{}, proget.Errorf(proget.ErrInvalid, "The upload has %d bytes so far, not %d: send those that are missing.", total, size)
	}
	blobs, err := u.blobs.Store(ctx, p.StorageID)
	if err != nil {
		return storage.Blob{}, err
	}
	blob, fresh, err := u.join(ctx, blobs, p, parts, total)
	if err != nil {
		return storage.Blob{}, err
	}
	if err = u.complete(ctx, blobs, parts, blob.Digests, want); err == nil {
		err = compare(blob.Digests, want)
	}
	if err == nil {
		err = record(ctx, p, &proget.File{Size: blob.Size, Digests: blob.Digests, StorageID: p.StorageID, StorageKey: blob.Key}, fresh)
	}
	if err != nil && fresh {
		err = u.recorded(ctx, blobs, blob.Key, err)
	}
	return blob, err
}

// end records that an upload is finished.
func (u *Uploads) end(ctx context.Context, p *db.Partial, f *proget.File, fresh bool) error {
	if _, done := finished(p); done {
		return nil
	}
	text, err := json.Marshal(f.Digests)
	if err != nil {
		return err
	}
	return u.db.FinishPartial(ctx, p.Key, f, fresh, finishedMark+string(text))
}

// finishedMark begins the sums of an upload that is finished. Its digests follow.
const finishedMark = "="

// finished returns the digests of an upload that is finished.
func finished(p *db.Partial) (digests proget.Digests, done bool) {
	text, done := strings.CutPrefix(p.Sums, finishedMark)
	if done {
		_ = json.Unmarshal([]byte(text), &digests) // end encoded it
	}
	return digests, done
}

// whole returns the size of all parts together, which must leave no gap.
func whole(parts []db.Part) (size int64, err error) {
	for _, part := range parts {
		if part.Offset != size {
			return 0, proget.Errorf(proget.ErrInvalid, "The bytes from %d to %d have not arrived.", size, part.Offset-1)
		}
		size += part.Blob.Size
	}
	return size, nil
}

// complete adds to the digests that are known those which a client claims without
// having said at the beginning that they would be wanted. That costs reading all.
func (u *Uploads) complete(ctx context.Context, blobs *storage.Store, parts []db.Part, have, want proget.Digests) error {
	for algorithm := range want {
		if have[algorithm] != "" {
			continue
		}
		h, err := algorithm.New()
		if err != nil {
			return unknownAlgorithm(algorithm, err)
		}
		if _, err := io.Copy(h, &joined{ctx: ctx, blobs: blobs, parts: parts}); err != nil {
			return fmt.Errorf("read the parts of an upload: %w", err)
		}
		have[algorithm] = hex.EncodeToString(h.Sum(nil))
	}
	return nil
}

// compare checks the digests that a client claims.
func compare(have, want proget.Digests) error {
	for algorithm, digest := range want {
		if have[algorithm] != digest {
			return proget.WrapError(proget.ErrInvalid, feed.ErrDigest, "The digest of what was uploaded is %s %s, not %.128s.", algorithm, have[algorithm], digest)
		}
	}
	return nil
}

// join returns the object that holds all parts: the only one, or a fresh one.
func (u *Uploads) join(ctx context.Context, blobs *storage.Store, p *db.Partial, parts []db.Part, size int64) (b storage.Blob, fresh bool, err error) {
	if digests, done := finished(p); done && len(parts) == 1 {
		return storage.Blob{Key: parts[0].Blob.StorageKey, Size: size, Digests: digests}, false, nil
	}
	if len(parts) == 1 && p.Size == size { // it came in order: its digests are known
		digests, err := u.digests(p)
		return storage.Blob{Key: parts[0].Blob.StorageKey, Size: size, Digests: digests}, false, err
	}
	if len(parts) > 1 && p.Size == size { // so do they now
		if b, err = u.compose(ctx, blobs, p, parts); !errors.Is(err, storage.ErrUnsupported) {
			return b, err == nil, err
		}
	}
	sums, err := readSums(p)
	if err != nil {
		return b, false, err
	}
	b, err = blobs.Put(ctx, &joined{ctx: ctx, blobs: blobs, parts: parts}, &storage.PutOptions{Algorithms: slices.Collect(maps.Keys(sums)), Size: size})
	if err != nil {
		return b, false, fmt.Errorf("join the parts of an upload: %w", err)
	}
	if p.Size != size || size == 0 { // what came in any order has no digests yet
		return b, true, nil
	}
	digests, err := u.digests(p)
	if err == nil && b.Digests[proget.SHA256] != digests[proget.SHA256] {
		u.discard(ctx, blobs, b.Key)
		err = proget.WrapError(proget.ErrUnavailable, storage.ErrDamaged, "Storage has not kept what was uploaded: begin again.")
	}
	return b, true, err
}

// compose has storage join the parts by itself.
func (u *Uploads) compose(ctx context.Context, blobs *storage.Store, p *db.Partial, parts []db.Part) (storage.Blob, error) {
	objects := make([]storage.Blob, len(parts))
	for i, part := range parts {
		objects[i] = storage.Blob{Key: part.Blob.StorageKey, Size: part.Blob.Size}
	}
	b, err := blobs.Compose(ctx, objects)
	if err == nil {
		b.Digests, err = u.digests(p)
	}
	return b, err
}

// digests returns those of the parts that came in order.
func (u *Uploads) digests(p *db.Partial) (proget.Digests, error) {
	sums, err := readSums(p)
	if err != nil {
		return nil, err
	}
	return sums.Digests()
}

func readSums(p *db.Partial) (sums storage.Sums, err error) {
	if err := json.Unmarshal([]byte(p.Sums), &sums); err != nil {
		return nil, fmt.Errorf("read the sums of an upload: %w", err)
	}
	return sums, nil
}

// Hold keeps the stored file of that size and SHA-256 under a name for some
// time, as if it had just been uploaded there, whether or not a version refers to
// it. It returns proget.ErrNotFound if there is none in the feed's storage.
func (u *Uploads) Hold(ctx context.Context, r feed.UploadRef, by proget.Principal, sha256 string, size int64) error {
	p := &db.Partial{Key: key(r), StorageID: r.Feed.StorageID, Size: size, Owner: by.String()}
	return u.db.HoldBlob(ctx, p, sha256)
}

// Held returns what is kept under a name, or proget.ErrNotFound.
func (u *Uploads) Held(ctx context.Context, r feed.UploadRef) (proget.File, error) {
	b, err := u.db.FindHeld(ctx, key(r))
	if err != nil {
		return proget.File{}, err
	}
	return proget.File{Size: b.Size, Digests: proget.Digests{proget.SHA256: b.SHA256}, StorageID: b.StorageID, StorageKey: b.StorageKey}, nil
}

// joined reads one part after the other, each opened when its turn comes.
type joined struct {
	ctx   context.Context
	blobs *storage.Store
	parts []db.Part
	open  *storage.Reader
}

// Read implements [io.Reader].
func (j *joined) Read(b []byte) (n int, err error) {
	for {
		if j.open == nil {
			if len(j.parts) == 0 {
				return 0, io.EOF
			}
			if j.open, err = j.blobs.Open(j.ctx, j.parts[0].Blob.StorageKey); err != nil {
				return 0, err
			}
			j.parts = j.parts[1:]
		}
		n, err = j.open.Read(b)
		if err != nil {
			_ = j.open.Close()
			j.open = nil
		}
		if n > 0 && err == io.EOF {
			err = nil
		}
		if n > 0 || err != nil && err != io.EOF {
			return n, err
		}
	}
}
