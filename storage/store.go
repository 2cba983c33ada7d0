package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/url"
	"sync"
	"time"

	"gocloud.dev/blob"

	"github.com/proget-go/ha/internal/tracing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage/share"
)

// Options adjusts a [Store]. The zero value is right for most.
type Options struct {
	// PartSize is how many bytes of one upload the bucket's driver may hold
	// in memory, for drivers that upload in parts. The largest object is then
	// the service's limit of parts times PartSize. 0 means the driver's own.
	PartSize int

	// Concurrency is how many parts of one upload may be on their way, each
	// with its memory. 0 means 1.
	Concurrency int
}

// A Store keeps objects that are written once. It is safe for concurrent use.
type Store struct {
	bucket  *blob.Bucket
	service *Service // nil for a folder, and for what New was given
	url     *url.URL // that Open was given; else nil
	opts    Options
	buffers sync.Pool // of *[]byte, bufferSize long
}

// New returns a store over bucket, which the store closes. Object stores are
// better opened by [Open], which knows more of them than gocloud tells.
func New(bucket *blob.Bucket, opts *Options) *Store {
	s := &Store{bucket: bucket}
	if opts != nil {
		s.opts = *opts
	}
	s.opts.PartSize = max(s.opts.PartSize, 0)
	s.opts.Concurrency = max(s.opts.Concurrency, 1)
	s.buffers.New = func() any {
		buf := make([]byte, bufferSize)
		return &buf
	}
	return s
}

// Close releases the bucket. Readers that are open stay usable where the bucket
// allows it.
func (s *Store) Close() error { return s.bucket.Close() }

// Delete removes an object; that it is missing already is no error. It is for
// garbage collection: nothing else may know that an object is not needed.
func (s *Store) Delete(ctx context.Context, key string) (err error) {
	if err := checkKey(key); err != nil {
		return err
	}
	ctx, end := tracing.Start(ctx, "delete object")
	defer func() { end(err) }()
	err = wrap(ctx, s.bucket.Delete(ctx, key), "delete object")
	if errors.Is(err, proget.ErrNotFound) {
		return nil
	}
	return err
}

// Object is what a listing says about an object.
type Object struct {
	Key     string
	Size    int64
	ModTime time.Time // by the storage's clock
}

// List yields the objects whose keys begin with prefix, in the order of keys,
// page by page. An object that is written or deleted meanwhile may appear or
// not. After an error it ends.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for objects := s.bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
			o, err := objects.Next(ctx)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Object{}, wrap(ctx, err, "list objects"))
				return
			}
			if !yield(Object{Key: o.Key, Size: o.Size, ModTime: o.ModTime}, nil) {
				return
			}
		}
	}
}

// RemoveLeftovers removes what writers who were killed have left behind and that
// was not written to for the time idle, which should be hours: halves of files in
// a shared folder, see [share.Sweeper], and parts of uploads where a [Service]
// keeps them.
func (s *Store) RemoveLeftovers(ctx context.Context, idle time.Duration) (removed int, err error) {
	var sweep share.Sweeper
	switch {
	case s.bucket.As(&sweep):
		removed, err = sweep(ctx, idle)
	case s.service != nil && s.service.RemoveLeftovers != nil:
		removed, err = s.service.RemoveLeftovers(ctx, s.bucket, s.url, idle)
	}
	return removed, wrap(ctx, err, "remove leftovers")
}
