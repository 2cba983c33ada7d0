package storage

import (
	"context"
	"io"
	"os"
	"time"

	"gocloud.dev/blob"
)

// A Reader streams an object. It is not safe for concurrent use.
type Reader struct {
	blob    *blob.Reader
	content io.ReadSeeker // the file itself if the object is one, else blob or check
	check   *checked      // nil if nothing is checked
	fail    func(error) error
}

// Open opens an object for streaming. The reader works until it is closed or
// ctx is done. Its error for a missing object matches [proget.ErrNotFound].
func (s *Store) Open(ctx context.Context, key string) (*Reader, error) {
	b, err := s.open(ctx, key, -1)
	if err != nil {
		return nil, err
	}
	r := &Reader{blob: b, content: b, fail: func(err error) error { return wrap(ctx, err, "read object") }}
	var file *os.File
	if b.As(&file) {
		r.content = file
	}
	return r, nil
}

func (s *Store) open(ctx context.Context, key string, length int64) (*blob.Reader, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	b, err := s.bucket.NewRangeReader(ctx, key, 0, length, nil)
	if err != nil {
		return nil, wrap(ctx, err, "open object")
	}
	return b, nil
}

// Size returns the object's size in bytes.
func (r *Reader) Size() int64 { return r.blob.Size() }

// ModTime returns when the object was written, by the storage's clock.
func (r *Reader) ModTime() time.Time { return r.blob.ModTime() }

// Content returns what to give to [net/http.ServeContent]. If the object is a
// file, it is the [*os.File] itself: net/http recognises no other type when it
// looks for a way to let the kernel send the bytes. It shares its position with
// the reader, which closes it.
func (r *Reader) Content() io.ReadSeeker { return r.content }

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.content.Read(p)
	if err != nil && err != io.EOF {
		err = r.fail(err)
	}
	return n, err
}

// Seek implements [io.Seeker].
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	return r.content.Seek(offset, whence)
}

// WriteTo implements [io.WriterTo], so that [io.Copy] to a connection of
// net/http lets the kernel send the bytes, too.
func (r *Reader) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, r.content) }

// Close implements [io.Closer].
func (r *Reader) Close() error { return r.blob.Close() }
