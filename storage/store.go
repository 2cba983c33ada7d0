package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/proget-go/ha/internal/tracing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage/share"
)

// Options adjusts a [Store]. The zero value is right for most.
type Options struct {
	// Services are the object stores that [Open] supports.
	Services []Service

	// Existing makes [Open] refuse a missing folder instead of creating it: for a
	// storage that has been in use, whose share may not be mounted.
	Existing bool

	// PartSize is the size in bytes of the parts in which large objects are sent to
	// object stores. An upload holds at most PartSize × (Concurrency + 2) bytes in
	// memory, and an object has at most 10,000 parts. S3 refuses parts smaller than 5
	// MiB. 0 means 8 MiB.
	PartSize int

	// Concurrency is the maximum number of parts of one upload in transit at once. 0
	// means 1.
	Concurrency int
}

const defaultPartSize = 8 << 20

// A Store keeps write-once objects. It is safe for concurrent use.
type Store struct {
	bucket  *Bucket
	service bool   // the bucket is in an object store
	prefix  string // prefix of all keys in calls to the service itself
	place   Place
	opts    Options
	keys    keys
	buffers sync.Pool // of *[]byte, bufferSize long
	closed  atomic.Bool
}

// New returns a store over bucket. The store closes the bucket.
func New(bucket *blob.Bucket, opts *Options) *Store {
	return newStore(&Bucket{Bucket: bucket}, opts)
}

func newStore(bucket *Bucket, opts *Options) *Store {
	s := &Store{bucket: bucket}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.PartSize <= 0 {
		s.opts.PartSize = defaultPartSize
	}
	s.opts.Concurrency = max(s.opts.Concurrency, 1)
	s.buffers.New = func() any {
		buf := make([]byte, bufferSize)
		return &buf
	}
	return s
}

// Close closes the bucket. Open readers stay usable if the bucket allows it. Further
// calls do nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.bucket.Close()
}

// Delete removes an object; a missing object is no error. It is for garbage collection
// only: nothing else can know that an object is not needed.
func (s *Store) Delete(ctx context.Context, key string) (err error) {
	if err := checkKey(key); err != nil {
		return err
	}
	ctx, end := tracing.Start(ctx, "delete object")
	defer func() { end(err) }()
	err = s.wrap(ctx, s.bucket.Delete(ctx, key), "delete object")
	if errors.Is(err, proget.ErrNotFound) {
		return nil
	}
	return err
}

// discardTimeout limits the time to discard an object.
const discardTimeout = 10 * time.Second

// Discard removes an object that nobody has recorded. It ignores the end of ctx, so
// that it works after an operation was given up, but takes at most 10 seconds. A sweep
// later removes what Discard could not.
func (s *Store) Discard(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	return s.Delete(ctx, key)
}

// SignedURL returns a URL from which a client can fetch the object directly during ttl.
// It returns [ErrUnsupported] if the bucket cannot sign URLs, or cannot do so with
// opts. It does not check that the object exists.
func (s *Store) SignedURL(ctx context.Context, key string, ttl time.Duration, opts *SignedURLOptions) (*url.URL, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &SignedURLOptions{}
	}
	signed, err := s.sign(ctx, key, ttl, *opts)
	if gcerrors.Code(err) == gcerrors.Unimplemented || errors.Is(err, ErrUnsupported) {
		return nil, ErrUnsupported
	}
	if err != nil {
		return nil, s.wrap(ctx, err, "sign URL")
	}
	return url.Parse(signed)
}

func (s *Store) sign(ctx context.Context, key string, ttl time.Duration, opts SignedURLOptions) (string, error) {
	if s.bucket.SignedURL != nil {
		return s.bucket.SignedURL(ctx, s.prefix+key, ttl, opts)
	}
	if s.service || opts != (SignedURLOptions{}) {
		return "", ErrUnsupported // a file with a wrong name is worse than one that this server sends
	}
	return s.bucket.Bucket.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: ttl})
}

// Object describes an object in a listing.
type Object struct {
	Key     string
	Size    int64
	ModTime time.Time // by the storage's clock
}

// List yields the objects whose keys begin with prefix, in the order of keys. It
// fetches them page by page, so an object that is written or deleted meanwhile may
// appear or not. It stops after an error.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for objects := s.bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
			o, err := objects.Next(ctx)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Object{}, s.wrap(ctx, err, "list objects"))
				return
			}
			if !yield(Object{Key: o.Key, Size: o.Size, ModTime: o.ModTime}, nil) {
				return
			}
		}
	}
}

// RemoveLeftovers removes what killed writers have left and nobody has touched for
// idle, which must be longer than any upload takes: temporary files in a shared folder
// (see [share.Sweeper]) and incomplete uploads in S3. Other object stores remove theirs
// within a week without help.
func (s *Store) RemoveLeftovers(ctx context.Context, idle time.Duration) (removed int, err error) {
	if s.bucket.RemoveLeftovers != nil {
		return s.removeUploads(ctx, idle)
	}
	var sweep share.Sweeper
	if !s.bucket.As(&sweep) {
		return 0, nil
	}
	removed, err = sweep(ctx, idle)
	return removed, s.wrap(ctx, err, "remove leftovers")
}

// removeUploads removes incomplete uploads of this store's own keys only: without a
// prefix, other programs may upload to the same bucket.
func (s *Store) removeUploads(ctx context.Context, idle time.Duration) (removed int, err error) {
	for _, kind := range []string{BlobPrefix, ProbePrefix} {
		n, err := s.bucket.RemoveLeftovers(ctx, s.prefix+kind, idle)
		removed += n
		if err != nil {
			return removed, s.wrap(ctx, err, "remove leftovers")
		}
	}
	return removed, nil
}
