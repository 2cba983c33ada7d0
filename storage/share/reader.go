package share

import (
	"context"
	"io"
	"os"

	"gocloud.dev/blob/driver"
)

// NewRangeReader implements [driver.Bucket]. The As functions of the reader and of
// BeforeRead give the [*os.File], which the reader closes.
func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, opts *driver.ReaderOptions) (driver.Reader, error) {
	f, info, err := b.open(ctx, key)
	if err != nil {
		return nil, err
	}
	r := &reader{
		Reader: f,
		file:   f,
		attrs:  driver.ReaderAttributes{ContentType: contentType, ModTime: info.ModTime(), Size: info.Size()},
	}
	if length >= 0 {
		r.Reader = io.LimitReader(f, length)
	}
	if err := r.begin(offset, opts); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

type reader struct {
	io.Reader
	file  *os.File
	attrs driver.ReaderAttributes
}

// begin calls the caller's hook, and moves to the offset.
func (r *reader) begin(offset int64, opts *driver.ReaderOptions) error {
	if opts.BeforeRead != nil {
		if err := opts.BeforeRead(r.As); err != nil {
			return err
		}
	}
	_, err := r.file.Seek(offset, io.SeekStart)
	return err
}

// Close implements [driver.Reader].
func (r *reader) Close() error { return r.file.Close() }

// Attributes implements [driver.Reader].
func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attrs }

// As implements [driver.Reader].
func (r *reader) As(i any) bool {
	p, ok := i.(**os.File)
	if ok {
		*p = r.file
	}
	return ok
}
