package faulty

import (
	"context"
	"os"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
)

// NewRangeReader implements [driver.Bucket].
func (b *Bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, opts *driver.ReaderOptions) (driver.Reader, error) {
	f, err := b.next(ctx, Open, key)
	if err != nil {
		return nil, err
	}
	if f != nil {
		return nil, f.answer(key)
	}
	r, err := b.inner.NewRangeReader(ctx, key, offset, length, &blob.ReaderOptions{BeforeRead: opts.BeforeRead})
	if err != nil {
		return nil, err
	}
	return &reader{r: r, b: b, ctx: ctx, key: key}, nil
}

type reader struct {
	r   *blob.Reader // not embedded, since faults would not apply to its WriteTo
	b   *Bucket
	ctx context.Context // context of the whole read, which gocloud passes on opening
	key string
}

// Read implements [driver.Reader].
func (r *reader) Read(p []byte) (int, error) {
	f, err := r.b.next(r.ctx, Read, r.key)
	if err != nil {
		return 0, err
	}
	if f == nil {
		return r.r.Read(p)
	}
	if f.Effect != Tear {
		return 0, f.answer(r.key)
	}
	n, err := r.r.Read(p[:(len(p)+1)/2])
	if f.Err != nil {
		err = f.answer(r.key)
	}
	return n, err
}

// Attributes implements [driver.Reader].
func (r *reader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{ContentType: r.r.ContentType(), ModTime: r.r.ModTime(), Size: r.r.Size()}
}

// Close implements [driver.Reader].
func (r *reader) Close() error { return r.r.Close() }

// As implements [driver.Reader]. While there is a fault of Read, it does not return the
// file, whose reads could not be made to fail.
func (r *reader) As(i any) bool {
	if _, ok := i.(**os.File); ok && r.b.reads() {
		return false
	}
	return r.r.As(i)
}

// NewTypedWriter implements [driver.Bucket].
func (b *Bucket) NewTypedWriter(ctx context.Context, key, contentType string, opts *driver.WriterOptions) (driver.Writer, error) {
	w := &writer{b: b, ctx: ctx, key: key}
	var inner context.Context
	inner, w.abort = context.WithCancel(ctx)
	err := b.do(ctx, Create, key, func() (err error) {
		w.w, err = b.inner.NewWriter(inner, key, &blob.WriterOptions{
			BufferSize: opts.BufferSize, MaxConcurrency: opts.MaxConcurrency, CacheControl: opts.CacheControl,
			ContentDisposition: opts.ContentDisposition, ContentEncoding: opts.ContentEncoding, ContentLanguage: opts.ContentLanguage,
			ContentType: contentType, DisableContentTypeDetection: true, ContentMD5: opts.ContentMD5, Metadata: opts.Metadata,
			BeforeWrite: opts.BeforeWrite, IfNotExist: opts.IfNotExist,
		})
		return err
	})
	if err != nil {
		w.giveUp()
		return nil, err
	}
	return w, nil
}

type writer struct {
	b     *Bucket
	ctx   context.Context // its end aborts the write, by gocloud's contract
	abort context.CancelFunc
	key   string
	w     *blob.Writer
}

// Write implements [driver.Writer].
func (w *writer) Write(p []byte) (int, error) {
	f, err := w.b.next(w.ctx, Write, w.key)
	if err != nil {
		return 0, err
	}
	if f == nil {
		return w.w.Write(p)
	}
	switch f.Effect {
	case Tear:
		p = p[:len(p)/2]
	case LoseAnswer:
	default:
		return 0, f.answer(w.key)
	}
	n, err := w.w.Write(p)
	if f.Err != nil {
		err = f.answer(w.key)
	}
	return n, err
}

// Close implements [driver.Writer]. No fault applies to a canceled upload, which
// completes nothing.
func (w *writer) Close() error {
	defer w.abort()
	if w.ctx.Err() != nil {
		return w.w.Close()
	}
	f, err := w.b.next(w.ctx, Close, w.key)
	if err != nil || f != nil && f.Effect == Refuse {
		w.giveUp()
		if err == nil {
			err = f.answer(w.key)
		}
		return err
	}
	if err := w.w.Close(); err != nil || f == nil {
		return err
	}
	if err := w.spoil(f.Effect); err != nil {
		return err
	}
	return f.answer(w.key)
}

// giveUp aborts the upload, so that nothing of the object remains.
func (w *writer) giveUp() {
	w.abort()
	if w.w != nil {
		_ = w.w.Close()
	}
}

// spoil applies the effect to the completed object.
func (w *writer) spoil(e Effect) error {
	switch e {
	case Vanish:
		return w.b.inner.Delete(w.ctx, w.key)
	case Tear:
		content, err := w.b.inner.ReadAll(w.ctx, w.key)
		if err != nil {
			return err
		}
		return w.b.inner.WriteAll(w.ctx, w.key, content[:len(content)/2], &blob.WriterOptions{ContentType: "application/octet-stream"})
	}
	return nil
}
