package upload

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// Finish ends an upload and returns what was uploaded, as one stored object, for
// feed.Upload.Stored. size and want are the client's claims; size -1 claims nothing. If
// one differs, or a part is missing, Finish returns proget.ErrInvalid and the upload
// stays open. The finished upload is kept until Cancel, so that a caller killed before
// it recorded the blob can call Finish again.
func (u *Uploads) Finish(ctx context.Context, r feed.UploadRef, size int64, want proget.Digests) (storage.Blob, error) {
	return u.finish(ctx, r, size, want, func(p *db.Partial, o *object) error { return u.end(ctx, p, o) })
}

// Keep ends an upload and, in the same commit, holds what was uploaded under the name
// as; the upload is then gone. If last is not nil, Keep first appends it as the chunk
// that begins at offset, as Append does, unless what has arrived is what the client
// claims. It is cheapest for an offered upload that comes as one such chunk. want holds
// the digests that the client claims. If one differs, or a part is missing, Keep returns
// proget.ErrInvalid and the upload stays open, but without last if that was its only
// chunk.
func (u *Uploads) Keep(ctx context.Context, r, as feed.UploadRef, by proget.Principal, want proget.Digests, offset int64, last io.Reader) error {
	held := &db.Partial{Key: key(as), Owner: by.String()}
	if last != nil || r.Offer != "" { // otherwise finish does everything
		p, begun, err := u.find(ctx, r)
		if err == nil && !begun {
			return u.keepWhole(ctx, p, held, want, offset, last)
		}
		switch {
		case err != nil || last == nil:
		case arrived(p, want): // the chunk did, too, and the server that took it was killed
			if _, err := io.Copy(io.Discard, io.LimitReader(last, p.Size+1)); err != nil {
				return feed.UploadError(err)
			}
		default:
			_, err = u.append(ctx, p, begun, offset, last)
		}
		if err != nil && !errors.Is(err, feed.ErrFinished) { // the chunk came before, and the response was lost
			return err
		}
	}
	_, err := u.finish(ctx, r, -1, want, func(p *db.Partial, o *object) error {
		held.StorageID, held.Size = o.storageID, o.Size
		return u.db.KeepPartial(ctx, p.Key, o.file(), !o.known, held)
	})
	return err
}

// arrived reports whether what has arrived in order has the digests that the client
// claims for the whole.
func arrived(p *db.Partial, want proget.Digests) bool {
	if _, done := finished(p); done || p.Size == 0 || len(want) == 0 {
		return false
	}
	sums, err := readSums(p)
	if err != nil {
		return false
	}
	digests, err := sums.Digests()
	return err == nil && compare(digests, want) == nil
}

// keepWhole keeps an upload that comes as a single chunk.
func (u *Uploads) keepWhole(ctx context.Context, p, held *db.Partial, want proget.Digests, offset int64, body io.Reader) error {
	for algorithm := range want {
		if _, err := algorithm.New(); err != nil {
			return unknownAlgorithm(algorithm, err)
		}
	}
	if body == nil {
		body = strings.NewReader("")
	}
	o, err := u.putChunk(ctx, p, offset, body, want)
	if err != nil {
		return err
	}
	if err = compare(o.Digests, want); err != nil && o.Size == 0 { // the whole may have come before, and the response was lost
		err = proget.WrapError(proget.ErrNotFound, err, "Nothing has arrived of the upload: send the file's bytes.")
	}
	if err != nil {
		o.discard(ctx)
		return err
	}
	return o.record(ctx, func() error { return u.db.KeepWhole(ctx, o.file(), held) })
}

func unknownAlgorithm(a proget.Algorithm, err error) error {
	return proget.WrapError(proget.ErrInvalid, err, "The digest algorithm %.40q is not supported.", a)
}

// finish ends an upload; record records the resulting object.
func (u *Uploads) finish(ctx context.Context, r feed.UploadRef, size int64, want proget.Digests, record func(p *db.Partial, o *object) error) (storage.Blob, error) {
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
	o, err := u.join(ctx, blobs, p, parts, total)
	if err != nil {
		return storage.Blob{}, err
	}
	return o.Blob, o.record(ctx, func() error {
		if err := u.complete(ctx, blobs, parts, o.Digests, want); err != nil {
			return err
		}
		if err := compare(o.Digests, want); err != nil {
			return err
		}
		return record(p, o)
	})
}

// end records that an upload is finished.
func (u *Uploads) end(ctx context.Context, p *db.Partial, o *object) error {
	if _, done := finished(p); done {
		return nil
	}
	text, err := json.Marshal(o.Digests)
	if err != nil {
		return err
	}
	return u.db.FinishPartial(ctx, p.Key, o.file(), !o.known, db.FinishedMark+string(text))
}

// finished returns the digests of a finished upload, which follow db.FinishedMark.
func finished(p *db.Partial) (digests proget.Digests, done bool) {
	text, done := strings.CutPrefix(p.Sums, db.FinishedMark)
	if done {
		_ = json.Unmarshal([]byte(text), &digests) // end encoded it
	}
	return digests, done
}

// whole returns the total size of the parts, or an error if there is a gap.
func whole(parts []db.Part) (size int64, err error) {
	for _, part := range parts {
		if part.Offset != size {
			return 0, proget.Errorf(proget.ErrInvalid, "The bytes from %d to %d have not arrived.", size, part.Offset-1)
		}
		size += part.Blob.Size
	}
	return size, nil
}

// complete adds the digests that the client claims but did not announce in Begin. It
// must read all parts for that.
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

// compare returns proget.ErrInvalid if a digest is not the one that the client claims.
func compare(have, want proget.Digests) error {
	for algorithm, digest := range want {
		if have[algorithm] != digest {
			return proget.WrapError(proget.ErrInvalid, feed.ErrDigest, "The digest of what was uploaded is %s %s, not %.128s.", algorithm, have[algorithm], digest)
		}
	}
	return nil
}

// join returns the object that holds all parts: the single part, or a new object.
func (u *Uploads) join(ctx context.Context, blobs *storage.Store, p *db.Partial, parts []db.Part, size int64) (*object, error) {
	only := func(digests proget.Digests) *object {
		o := u.object(blobs, p, storage.Blob{Key: parts[0].Blob.StorageKey, Size: size, Digests: digests})
		o.known = true
		return o
	}
	if digests, done := finished(p); done && len(parts) == 1 {
		return only(digests), nil
	}
	sums, err := readSums(p)
	if err != nil {
		return nil, err
	}
	var digests proget.Digests // parts that came in any order have no digests yet
	if p.Size == size && size > 0 {
		if digests, err = sums.Digests(); err != nil {
			return nil, err
		}
	}
	switch {
	case digests == nil:
	case len(parts) == 1:
		return only(digests), nil
	default:
		b, err := compose(ctx, blobs, parts)
		if !errors.Is(err, storage.ErrUnsupported) {
			b.Digests = digests
			return u.object(blobs, p, b), err
		}
	}
	all := &joined{ctx: ctx, blobs: blobs, parts: parts}
	defer all.Close()
	b, err := blobs.Put(ctx, all, &storage.PutOptions{Algorithms: slices.Collect(maps.Keys(sums)), Size: size})
	if err != nil {
		return nil, fmt.Errorf("join the parts of an upload: %w", err)
	}
	o := u.object(blobs, p, b)
	if b.Size != size || digests != nil && b.Digests[proget.SHA256] != digests[proget.SHA256] {
		o.discard(ctx)
		return nil, proget.WrapError(proget.ErrUnavailable, storage.ErrDamaged, "Storage did not keep the uploaded data: begin again.")
	}
	return o, nil
}

// compose lets storage join the parts.
func compose(ctx context.Context, blobs *storage.Store, parts []db.Part) (storage.Blob, error) {
	objects := make([]storage.Blob, len(parts))
	for i, part := range parts {
		objects[i] = storage.Blob{Key: part.Blob.StorageKey, Size: part.Blob.Size}
	}
	return blobs.Compose(ctx, objects)
}

func readSums(p *db.Partial) (sums storage.Sums, err error) {
	if err := json.Unmarshal([]byte(p.Sums), &sums); err != nil {
		return nil, fmt.Errorf("read the sums of an upload: %w", err)
	}
	return sums, nil
}

// Hold keeps the stored file with that size and SHA-256 under a name for some time, as
// if it had just been uploaded there, whether or not a version refers to it. It returns
// proget.ErrNotFound if the feed's storage has no such file.
func (u *Uploads) Hold(ctx context.Context, r feed.UploadRef, by proget.Principal, sha256 string, size int64) error {
	p := &db.Partial{Key: key(r), StorageID: r.Feed.StorageID, Size: size, Owner: by.String()}
	return u.db.HoldBlob(ctx, p, sha256)
}

// Held returns what is held under a name, or proget.ErrNotFound.
func (u *Uploads) Held(ctx context.Context, r feed.UploadRef) (proget.File, error) {
	b, err := u.db.FindHeld(ctx, key(r))
	if err != nil {
		return proget.File{}, err
	}
	return proget.File{Size: b.Size, Digests: proget.Digests{proget.SHA256: b.SHA256}, StorageID: b.StorageID, StorageKey: b.StorageKey}, nil
}

// Deleted returns a file of a package's deleted versions; see feed.Uploads.
func (u *Uploads) Deleted(ctx context.Context, in *proget.Feed, nameKey, name string) (proget.File, error) {
	return u.db.FindDeletedFile(ctx, in.ID, nameKey, name)
}

// joined reads one part after the other. It opens each only when it gets there.
type joined struct {
	ctx   context.Context
	blobs *storage.Store
	parts []db.Part
	open  *storage.Reader
}

// Close closes the part that is open if the reader stops before the end.
func (j *joined) Close() {
	if j.open != nil {
		_ = j.open.Close()
	}
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
