package faulty

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/proget-go/ha/storage/share"
)

var _ driver.Bucket = (*Bucket)(nil)

// A Bucket implements [driver.Bucket] over another bucket. It is safe for
// concurrent use.
type Bucket struct {
	inner *blob.Bucket

	mu     sync.Mutex
	faults []*injected
	space  share.Space
}

// New returns a Bucket over inner. Closing the Bucket closes inner. Wrap a driver with
// [blob.NewBucket] first.
func New(inner *blob.Bucket) *Bucket {
	return &Bucket{inner: inner}
}

// Inject adds faults. If several match a call, the first one applies.
func (b *Bucket) Inject(faults ...Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range faults {
		b.faults = append(b.faults, &injected{Fault: f})
	}
}

// Clear removes all faults.
func (b *Bucket) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = nil
}

// Fired returns how many calls the current faults have affected.
func (b *Bucket) Fired() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		n += f.fired
	}
	return n
}

// SetSpace makes the bucket report space as its [share.Space].
func (b *Bucket) SetSpace(space share.Space) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.space = space
}

// next returns the fault that applies to a call, or nil, after waiting as it says.
func (b *Bucket) next(ctx context.Context, op Op, key string) (*Fault, error) {
	f := b.meet(op, key)
	if f == nil {
		return nil, nil
	}
	if err := f.hold(ctx); err != nil {
		return nil, err
	}
	if f.Err == nil && f.Effect <= LoseAnswer {
		return nil, nil // it only delays
	}
	return f, nil
}

func (b *Bucket) meet(op Op, key string) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		if f.meets(op, key) {
			return &f.Fault
		}
	}
	return nil
}

// do runs an operation that happens wholly or not at all.
func (b *Bucket) do(ctx context.Context, op Op, key string, fn func() error) error {
	f, err := b.next(ctx, op, key)
	if err != nil {
		return err
	}
	if f == nil {
		return fn()
	}
	if f.Effect == LoseAnswer {
		_ = fn() // its result is lost
	}
	return f.answer(key)
}

// reads reports whether there is a fault of Read.
func (b *Bucket) reads() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		if f.Op == Read {
			return true
		}
	}
	return false
}

// Attributes implements [driver.Bucket].
func (b *Bucket) Attributes(ctx context.Context, key string) (a *driver.Attributes, err error) {
	err = b.do(ctx, Attributes, key, func() error {
		attrs, err := b.inner.Attributes(ctx, key)
		if err == nil {
			a = &driver.Attributes{
				CacheControl: attrs.CacheControl, ContentDisposition: attrs.ContentDisposition, ContentEncoding: attrs.ContentEncoding,
				ContentLanguage: attrs.ContentLanguage, ContentType: attrs.ContentType, Metadata: attrs.Metadata,
				CreateTime: attrs.CreateTime, ModTime: attrs.ModTime, Size: attrs.Size, MD5: attrs.MD5, ETag: attrs.ETag, AsFunc: attrs.As,
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// defaultPageSize is the page size if the caller gives none.
const defaultPageSize = 1000

// ListPaged implements [driver.Bucket].
func (b *Bucket) ListPaged(ctx context.Context, opts *driver.ListOptions) (page *driver.ListPage, err error) {
	token, size := opts.PageToken, opts.PageSize
	if len(token) == 0 {
		token = blob.FirstPageToken
	}
	if size == 0 {
		size = defaultPageSize
	}
	err = b.do(ctx, List, opts.Prefix, func() error {
		o := &blob.ListOptions{Prefix: opts.Prefix, Delimiter: opts.Delimiter, BeforeList: opts.BeforeList}
		objects, next, err := b.inner.ListPage(ctx, token, size, o)
		if err != nil {
			return err
		}
		page = &driver.ListPage{NextPageToken: next}
		for _, o := range objects {
			page.Objects = append(page.Objects,
				&driver.ListObject{Key: o.Key, ModTime: o.ModTime, Size: o.Size, MD5: o.MD5, IsDir: o.IsDir, AsFunc: o.As})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// Delete implements [driver.Bucket].
func (b *Bucket) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	return b.do(ctx, Delete, key, func() error { return b.inner.Delete(ctx, key) })
}

// Copy implements [driver.Bucket].
func (b *Bucket) Copy(ctx context.Context, dst, src string, opts *driver.CopyOptions) error {
	return b.inner.Copy(ctx, dst, src, &blob.CopyOptions{BeforeCopy: opts.BeforeCopy})
}

// SignedURL implements [driver.Bucket].
func (b *Bucket) SignedURL(ctx context.Context, key string, opts *driver.SignedURLOptions) (string, error) {
	return b.inner.SignedURL(ctx, key, &blob.SignedURLOptions{
		Expiry: opts.Expiry, Method: opts.Method, ContentType: opts.ContentType,
		EnforceAbsentContentType: opts.EnforceAbsentContentType, BeforeSign: opts.BeforeSign,
	})
}

// Close implements [driver.Bucket].
func (b *Bucket) Close() error { return b.inner.Close() }

// As implements [driver.Bucket].
func (b *Bucket) As(i any) bool {
	b.mu.Lock()
	space := b.space
	b.mu.Unlock()
	if p, ok := i.(*share.Space); ok && space != nil {
		*p = space
		return true
	}
	return b.inner.As(i)
}

// ErrorAs implements [driver.Bucket].
func (b *Bucket) ErrorAs(err error, i any) bool { return b.inner.ErrorAs(err, i) }

// ErrorCode implements [driver.Bucket].
func (b *Bucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch code := gcerrors.Code(err); {
	case code != gcerrors.Unknown:
		return code
	case errors.Is(err, fs.ErrNotExist):
		return gcerrors.NotFound
	case errors.Is(err, ErrNoSpace):
		return gcerrors.ResourceExhausted
	case errors.Is(err, fs.ErrPermission):
		return gcerrors.PermissionDenied
	}
	return gcerrors.Unknown
}
