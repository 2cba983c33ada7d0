package storage

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

// The size of the window that a [ReaderAt] fetches from an object store at once. It is
// small at first and after a jump, for an archive's directory, and doubles while
// reading is sequential.
const (
	minWindow = 64 << 10
	maxWindow = 1 << 20
)

// A ReaderAt gives random access to an object, as archives need it. It is safe for
// concurrent use. On an object store only one read runs at a time, and concurrent
// readers at distant offsets discard each other's window.
type ReaderAt struct {
	io.ReaderAt
	size  int64
	close func() error
}

// ReaderAt opens an object for random access. The reader works until it is closed or
// ctx is done. In a shared folder it reads the file itself; elsewhere it fetches ranges
// of the object and buffers at most 1 MiB. The error for a missing object matches
// [proget.ErrNotFound].
func (s *Store) ReaderAt(ctx context.Context, key string) (*ReaderAt, error) {
	fail := func(err error) error { return s.wrap(ctx, err, "read object") }
	if s.service {
		size, err := s.sizeOf(ctx, key)
		if err != nil {
			return nil, err
		}
		return s.rangesOf(ctx, key, size), nil
	}
	b, err := s.open(ctx, key, 0) // reads no bytes; it finds the size and whether the object exists
	if err != nil {
		return nil, err
	}
	var file *os.File
	if b.As(&file) {
		return &ReaderAt{ReaderAt: failing{file, fail}, size: b.Size(), close: b.Close}, nil
	}
	size := b.Size()
	if err := b.Close(); err != nil {
		return nil, fail(err)
	}
	return s.rangesOf(ctx, key, size), nil
}

// sizeOf asks a service for an object's size. Opening a range of zero bytes would do,
// but S3 refuses that for an empty object.
func (s *Store) sizeOf(ctx context.Context, key string) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	attributes, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return 0, s.wrap(ctx, err, "open object")
	}
	return attributes.Size, nil
}

func (s *Store) rangesOf(ctx context.Context, key string, size int64) *ReaderAt {
	fetch := func(p []byte, offset int64) (int, error) { return s.fetch(ctx, key, p, offset) }
	return &ReaderAt{ReaderAt: &ranges{size: size, fetch: fetch}, size: size, close: func() error { return nil }}
}

// Size returns the object's size in bytes.
func (r *ReaderAt) Size() int64 { return r.size }

// Close implements [io.Closer].
func (r *ReaderAt) Close() error { return r.close() }

// fetch fills p with the object's bytes from offset on. They must exist.
func (s *Store) fetch(ctx context.Context, key string, p []byte, offset int64) (int, error) {
	b, err := s.bucket.NewRangeReader(ctx, key, offset, int64(len(p)), nil)
	if err != nil {
		return 0, s.wrap(ctx, err, "read object")
	}
	defer b.Close()
	n, err := io.ReadFull(b, p)
	if err == io.EOF { // the response ended, not the object
		err = io.ErrUnexpectedEOF
	}
	return n, s.wrap(ctx, err, "read object")
}

// failing maps a file's errors to the kinds that callers know.
type failing struct {
	io.ReaderAt
	fail func(error) error
}

func (f failing) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.ReaderAt.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		err = f.fail(err)
	}
	return n, err
}

// ranges implements [io.ReaderAt] by fetching a window of the object at a time.
type ranges struct {
	size  int64
	fetch func(p []byte, offset int64) (int, error)

	mu     sync.Mutex
	window []byte // the bytes from start on
	start  int64
	buffer []byte // backing array of window
}

// ReadAt implements [io.ReaderAt].
func (r *ranges) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, errors.New("read object: negative offset")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(p) {
		if offset+int64(n) >= r.size {
			return n, io.EOF
		}
		m, err := r.next(p[n:], offset+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// next reads some bytes at offset, which lies within the object.
func (r *ranges) next(p []byte, offset int64) (int, error) {
	if i := offset - r.start; i >= 0 && i < int64(len(r.window)) {
		return copy(p, r.window[i:]), nil
	}
	if len(p) >= maxWindow { // a window would only add a copy
		return r.fetch(p[:min(int64(len(p)), r.size-offset)], offset)
	}
	if err := r.move(offset); err != nil {
		return 0, err
	}
	return copy(p, r.window), nil
}

// move fetches the window that begins at offset.
func (r *ranges) move(offset int64) error {
	length := minWindow
	if len(r.window) > 0 && offset == r.start+int64(len(r.window)) {
		length = min(2*len(r.window), maxWindow)
	}
	length = int(min(int64(length), r.size-offset))
	if cap(r.buffer) < length {
		r.buffer = make([]byte, length)
	}
	r.window = nil // its bytes are overwritten, also by a fetch that fails
	n, err := r.fetch(r.buffer[:length], offset)
	if err != nil {
		return err
	}
	r.window, r.start = r.buffer[:n], offset
	return nil
}
