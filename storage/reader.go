package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"gocloud.dev/blob"

	"github.com/proget-go/ha/proget"
)

// A Reader streams an object. It is not safe for concurrent use.
type Reader struct {
	blob    *blob.Reader
	file    *os.File // the object itself if it is a file
	content *content // of any other object
	fail    func(error) error
}

// Open opens an object for streaming. The reader works until it is closed or ctx is
// done. The error for a missing object matches [proget.ErrNotFound].
func (s *Store) Open(ctx context.Context, key string) (*Reader, error) {
	b, err := s.open(ctx, key, -1)
	if err != nil {
		return nil, err
	}
	r := &Reader{blob: b, fail: func(err error) error { return s.wrap(ctx, err, "read object") }}
	if !b.As(&r.file) {
		r.content = &content{r: b, size: b.Size(), fail: r.fail}
	}
	return r, nil
}

// OpenBlob opens an object that must be as Put returned it, and returns [ErrDamaged] if
// its size differs. If the caller reads it in order from beginning to end, the reader
// checks the SHA-256 and, if that differs, fails with [ErrDamaged] before it returns
// the last bytes. It does not check files of a shared folder, since the kernel sends
// them, nor partial reads.
func (s *Store) OpenBlob(ctx context.Context, b Blob) (*Reader, error) {
	r, err := s.Open(ctx, b.Key)
	if err != nil {
		return nil, err
	}
	if r.Size() != b.Size {
		_ = r.Close()
		return nil, fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, b.Key, r.Size(), b.Size)
	}
	if r.content != nil {
		r.content.check(b)
	}
	return r, nil
}

func (s *Store) open(ctx context.Context, key string, length int64) (*blob.Reader, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	b, err := s.bucket.NewRangeReader(ctx, key, 0, length, nil)
	if err != nil {
		return nil, s.wrap(ctx, err, "open object")
	}
	return b, nil
}

// Size returns the object's size in bytes.
func (r *Reader) Size() int64 { return r.blob.Size() }

// ModTime returns when the object was written, by the storage's clock.
func (r *Reader) ModTime() time.Time { return r.blob.ModTime() }

// Content returns a reader for [net/http.ServeContent]. If the object is a file, it is
// the [*os.File] itself, the only type for which net/http lets the kernel send the
// bytes. It shares its position with r, and r.Close closes it.
func (r *Reader) Content() io.ReadSeeker {
	if r.file != nil {
		return r.file
	}
	return r.content
}

// Err returns the error that ended reading, which net/http does not report. It is
// always nil if the object is a file.
func (r *Reader) Err() error {
	if r.content == nil {
		return nil
	}
	return r.content.err
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	if r.file == nil {
		return r.content.Read(p)
	}
	n, err := r.file.Read(p)
	if err != nil && err != io.EOF {
		err = r.fail(err)
	}
	return n, err
}

// Seek implements [io.Seeker].
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	return r.Content().Seek(offset, whence)
}

// WriteTo implements [io.WriterTo]. With it, [io.Copy] to a net/http connection also
// lets the kernel send the bytes.
func (r *Reader) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, r.Content()) }

// Close implements [io.Closer].
func (r *Reader) Close() error { return r.blob.Close() }

// tailSize is how many bytes of an object the reader holds back until it knows the
// digest. A client that gets a damaged object misses that many bytes.
const tailSize = 64 << 10

// content reads an object that is no file. It does not take the end of the service's
// response for the end of the object.
type content struct {
	r    io.ReadSeeker
	size int64
	at   int64 // position of the caller
	next int64 // position after the last read
	fail func(error) error
	err  error // which ended reading

	want Blob
	hash hash.Hash // of the bytes before next; nil if they are not checked
	tail []byte    // rest of the object, read and checked
}

func (c *content) check(want Blob) { c.want, c.hash = want, sha256.New() }

// Read implements [io.Reader].
func (c *content) Read(p []byte) (n int, err error) {
	if c.err == nil && c.at != c.next {
		c.err = c.jump()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.at >= c.size:
		return 0, io.EOF
	case c.hash == nil:
		n, err = c.some(p)
	case c.size-c.at > tailSize:
		n, err = c.some(p[:min(int64(len(p)), c.size-c.at-tailSize)])
		c.hash.Write(p[:n])
	default:
		n, err = c.last(p)
	}
	c.at += int64(n)
	c.next, c.err = c.at, err
	return n, err
}

// jump seeks to the caller's position. The bytes are not checked from then on.
func (c *content) jump() error {
	c.hash, c.tail = nil, nil
	at, err := c.r.Seek(min(c.at, c.size), io.SeekStart)
	c.at, c.next = at, at
	return c.fail(err)
}

// some reads as many bytes as are available at once.
func (c *content) some(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err == io.EOF && c.at+int64(n) < c.size {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF {
		err = nil
	}
	return n, c.fail(err)
}

// last returns bytes of the end of the object, once it has read and checked all of it.
func (c *content) last(p []byte) (int, error) {
	if c.tail == nil {
		tail := make([]byte, c.size-c.at)
		if _, err := io.ReadFull(c.r, tail); err == io.EOF {
			return 0, c.fail(io.ErrUnexpectedEOF)
		} else if err != nil {
			return 0, c.fail(err)
		}
		c.hash.Write(tail)
		if hex.EncodeToString(c.hash.Sum(nil)) != c.want.Digests[proget.SHA256] {
			return 0, fmt.Errorf("%w: %s has another digest", ErrDamaged, c.want.Key)
		}
		c.tail = tail
	}
	n := copy(p, c.tail)
	c.tail = c.tail[n:]
	return n, nil
}

// Seek implements [io.Seeker]. Only the next Read moves, since net/http seeks to the
// end for the size and back before it reads.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("read object: negative offset")
	}
	c.at = offset
	return offset, nil
}
