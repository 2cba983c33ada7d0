package storage

import (
	"cmp"
	"context"
	"encoding"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"gocloud.dev/blob"

	"github.com/proget-go/ha/internal/tracing"
	"github.com/proget-go/ha/proget"
)

const (
	// bufferSize is the memory in bytes that an upload holds, besides that of the
	// bucket's driver.
	bufferSize = 128 << 10

	defaultContentType = "application/octet-stream"
)

// Blob is what [Store.Put] stored.
type Blob struct {
	Key     string
	Size    int64
	Digests proget.Digests // SHA-256, and PutOptions.Algorithms; they include PutOptions.After
	Sums    Sums           // the state to continue the digests from; nil without PutOptions.After
}

// Sums are the states of unfinished digests, of bytes that are stored in several
// objects. They can be kept as JSON, and another process can continue them.
type Sums map[proget.Algorithm][]byte

// Digests returns the digests of all bytes so far.
func (s Sums) Digests() (proget.Digests, error) {
	digests := proget.Digests{}
	for algorithm := range s {
		h, err := s.hash(algorithm)
		if err != nil {
			return nil, err
		}
		digests[algorithm] = hex.EncodeToString(h.Sum(nil))
	}
	return digests, nil
}

// hash returns a hash that continues from s, or a new one.
func (s Sums) hash(algorithm proget.Algorithm) (hash.Hash, error) {
	h, err := algorithm.New()
	if err != nil || s[algorithm] == nil {
		return h, err
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s[algorithm]); err != nil {
		return nil, fmt.Errorf("continue %s: %w", algorithm, err)
	}
	return h, nil
}

// PutOptions describes an upload. Nil is valid.
type PutOptions struct {
	// Algorithms are the digests to compute besides SHA-256.
	Algorithms []proget.Algorithm

	// After holds the sums of the preceding parts if the upload is the next part of
	// something larger; the digests then cover all of it. Pass an empty map for the
	// first part, and nil if the upload is whole.
	After Sums

	// MaxSize is the maximum number of bytes; a longer upload fails with
	// [proget.ErrTooLarge]. 0 means no limit.
	MaxSize int64

	// Size is the maximum number of bytes expected, such as a request's Content-Length;
	// 0 means unknown. If storage has no room for Size bytes, Put fails with
	// [proget.ErrNoSpace] before it reads any. Likewise it fails with
	// [proget.ErrTooLarge] if Size exceeds twice MaxSize by more than 2 MiB, which no
	// form or encoding around the upload explains.
	Size int64

	// ContentType is stored if the bucket can store it; clients that follow a signed
	// URL see it. "" means application/octet-stream.
	ContentType string
}

// Put reads r to its end, hashes it, and stores it under a new key. It needs little
// memory whatever the size. When it returns nil, the object is durable.
//
// If r, ctx or the bucket fails, Put removes what it wrote. The error that it returns
// wraps an error of r in a [SourceError].
func (s *Store) Put(ctx context.Context, r io.Reader, opts *PutOptions) (_ Blob, err error) {
	ctx, end := tracing.Start(ctx, "put object")
	defer func() { end(err) }()
	if opts == nil {
		opts = &PutOptions{}
	}
	src, err := newSource(r, opts)
	if err != nil {
		return Blob{}, fmt.Errorf("put object: %w", err)
	}
	if opts.MaxSize > 0 && opts.Size/2-roomFrom > opts.MaxSize {
		return Blob{}, errTooLarge(opts.MaxSize)
	}
	if err := s.checkRoom(ctx, opts.Size); err != nil {
		return Blob{}, err
	}
	key := s.keys.newBlob()
	if err := s.write(ctx, key, src, opts.ContentType); err != nil {
		return Blob{}, err
	}
	b := Blob{Key: key, Size: src.size, Digests: src.digests()}
	if opts.After != nil {
		b.Sums, err = src.sums()
	}
	return b, err
}

// write stores all of src under key, or nothing.
func (s *Store) write(ctx context.Context, key string, src *source, contentType string) error {
	if contentType == "" {
		contentType = defaultContentType
	}
	wctx, abort := context.WithCancel(ctx)
	defer abort()
	opts := s.writerOptions(contentType)
	var opened bool
	var err error
	if s.service {
		opened, err = true, s.bucket.Upload(wctx, key, &upload{wctx, src, abort}, opts)
	} else {
		opened, err = s.pour(wctx, abort, key, src, opts)
	}
	if err != nil && opened {
		_ = s.Discard(ctx, key) // the bucket may have completed it although its answer was lost
	}
	return s.putError(ctx, src, err)
}

// upload is a reader that a service's driver reads itself. It is used instead of a
// writer, since gocloud's for Azure panics when an upload fails, and each needs an
// additional pipe.
type upload struct {
	ctx   context.Context
	src   *source
	abort context.CancelFunc
}

// Read implements [io.Reader]. If it fails, it aborts the upload, so that a partial
// upload never becomes an object, whatever the driver makes of the error.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.src.fill(u.ctx, p[:min(len(p), bufferSize)])
	if err != nil && err != io.EOF {
		u.abort()
	}
	return n, err
}

// pour writes src to the bucket's own writer, and reports whether it could open one.
func (s *Store) pour(ctx context.Context, abort context.CancelFunc, key string, src *source, opts *blob.WriterOptions) (bool, error) {
	w, err := s.bucket.NewWriter(ctx, key, opts)
	if err != nil {
		return false, err
	}
	err = s.copy(ctx, w, src)
	if err != nil {
		abort() // before Close, which would complete the object otherwise
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return true, err
}

func (s *Store) writerOptions(contentType string) *blob.WriterOptions {
	opts := &blob.WriterOptions{BufferSize: s.opts.PartSize, MaxConcurrency: s.opts.Concurrency, ContentType: contentType}
	if s.bucket.BeforeWrite != nil {
		opts.BeforeWrite = func(as func(any) bool) error { return s.bucket.BeforeWrite(s.opts, as) }
	}
	return opts
}

// copy copies src to w in full buffers, since each write may cost a system call or a
// switch to another goroutine.
func (s *Store) copy(ctx context.Context, w io.Writer, src *source) error {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	for {
		n, rerr := src.fill(ctx, *buf)
		if n > 0 {
			if m, err := w.Write((*buf)[:n]); err != nil || m < n {
				return cmp.Or(err, io.ErrShortWrite) // not every driver says so
			}
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}

// putError distinguishes errors of reading the upload from those of storage.
func (s *Store) putError(ctx context.Context, src *source, err error) error {
	if err == nil {
		return nil
	}
	if src.err != nil {
		return fmt.Errorf("read upload: %w", src.err)
	}
	return s.wrapWrite(ctx, err, "put object")
}

// A SourceError is an error of the reader that was to be stored, not of storage.
type SourceError struct{ Err error }

// Error implements error.
func (e *SourceError) Error() string { return e.Err.Error() }

// Unwrap lets [errors.Is] find Err.
func (e *SourceError) Unwrap() error { return e.Err }

// source reads and hashes an upload.
type source struct {
	r      io.Reader
	max    int64
	size   int64
	hashes map[proget.Algorithm]hash.Hash
	err    error // why r could not be read to its end
}

func newSource(r io.Reader, opts *PutOptions) (*source, error) {
	src := &source{r: r, max: opts.MaxSize, hashes: map[proget.Algorithm]hash.Hash{}}
	for _, algorithm := range append([]proget.Algorithm{proget.SHA256}, opts.Algorithms...) {
		h, err := opts.After.hash(algorithm)
		if err != nil {
			return nil, err
		}
		src.hashes[algorithm] = h
	}
	return src, nil
}

// fill reads until buf is full or the upload has ended, and hashes what it read. It
// does not use io.ReadFull, with which a reader's io.ErrUnexpectedEOF, as from the body
// of a broken HTTP request, would look like the end.
func (s *source) fill(ctx context.Context, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var m int
		m, err = s.r.Read(buf[n:])
		n += m
		if err != nil && err != io.EOF {
			err = &SourceError{err}
		}
	}
	s.size += int64(n)
	if s.max > 0 && s.size > s.max {
		err = errTooLarge(s.max)
	}
	if err != nil && err != io.EOF {
		s.err = err
		return 0, err
	}
	for _, h := range s.hashes {
		h.Write(buf[:n]) // never fails
	}
	return n, err
}

// sums returns the states of the hashes, which the standard library can all marshal.
func (s *source) sums() (Sums, error) {
	sums := Sums{}
	for algorithm, h := range s.hashes {
		state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("keep %s: %w", algorithm, err)
		}
		sums[algorithm] = state
	}
	return sums, nil
}

func (s *source) digests() proget.Digests {
	digests := proget.Digests{}
	for algorithm, h := range s.hashes {
		digests[algorithm] = hex.EncodeToString(h.Sum(nil))
	}
	return digests
}

func errTooLarge(limit int64) error {
	return proget.Errorf(proget.ErrTooLarge, "the file is larger than the limit of %d bytes", limit)
}
