package share

import (
	"context"
	"io"
	"os"
)

// A Composer concatenates the objects parts, in their order, into the object key. The
// kernel copies the bytes, or lets the file server copy them or the file system share
// them (copy_file_range(2)). The As method of this package's bucket gives its Composer.
type Composer func(ctx context.Context, key string, parts []string) error

// composeStep is how many bytes are copied between two checks of the context.
const composeStep = 64 << 20

// compose is the bucket's [Composer].
func (b *bucket) compose(ctx context.Context, key string, parts []string) error {
	w, err := b.newWriter(ctx, key)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := w.take(part); err != nil {
			w.abandon()
			return err
		}
	}
	return w.Close()
}

// take appends the bytes of an object.
func (w *writer) take(key string) error {
	f, info, err := w.b.open(w.ctx, key)
	if err != nil {
		return err
	}
	defer f.Close()
	for left := info.Size(); left > 0; {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		n, err := copyRange(w.f, f, min(left, composeStep))
		w.written += n
		left -= n
		if err != nil {
			return err
		}
	}
	return nil
}

// copyRange copies n bytes. Both ends must be *os.File, the only type for which package
// os lets the kernel copy.
func copyRange(to, from *os.File, n int64) (int64, error) {
	done, err := io.CopyN(to, from, n)
	if err == io.EOF { // the file has become shorter
		err = io.ErrUnexpectedEOF
	}
	return done, err
}
