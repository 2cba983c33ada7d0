package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/proget-go/ha/proget"
)

// ErrDamaged means that an object does not hold the bytes that were stored.
var ErrDamaged = errors.New("the object does not hold the bytes that were stored")

// A Pace limits the speed of reading an object: it blocks until n more bytes may be
// read. The method WaitN of golang.org/x/time/rate.Limiter is a Pace if the burst is at
// least [ReadSize].
type Pace func(ctx context.Context, n int) error

// ReadSize is the greatest n that a [Pace] is called with.
const ReadSize = bufferSize

// Verify reads an object again, at pace if that is not nil. It returns nil if the
// object is as Put returned it, [ErrDamaged] if its size or SHA-256 differs,
// [proget.ErrNotFound] if it is missing, and another error if it cannot tell.
func (s *Store) Verify(ctx context.Context, b Blob, pace Pace) error {
	r, err := s.Open(ctx, b.Key)
	if err != nil {
		return err
	}
	defer r.Close()
	if r.Size() != b.Size {
		return fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, b.Key, r.Size(), b.Size)
	}
	digest, _, err := s.sum(ctx, r, pace)
	if err != nil {
		return err
	}
	if digest != b.Digests[proget.SHA256] {
		return fmt.Errorf("%w: %s has another digest", ErrDamaged, b.Key)
	}
	return nil
}

// Sum reads an object, at pace if that is not nil, and returns the blob that Put would
// have returned for its bytes, with no digest but SHA-256.
func (s *Store) Sum(ctx context.Context, key string, pace Pace) (Blob, error) {
	r, err := s.Open(ctx, key)
	if err != nil {
		return Blob{}, err
	}
	defer r.Close()
	digest, size, err := s.sum(ctx, r, pace)
	return Blob{Key: key, Size: size, Digests: proget.Digests{proget.SHA256: digest}}, err
}

// sum reads r to its end, at pace, and hashes it.
func (s *Store) sum(ctx context.Context, r *Reader, pace Pace) (digest string, size int64, err error) {
	h := sha256.New()
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	for {
		n, err := io.ReadFull(r, *buf)
		h.Write((*buf)[:n])
		size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF && size == r.Size() {
			return hex.EncodeToString(h.Sum(nil)), size, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && pace != nil {
			err = pace(ctx, n)
		}
		if err != nil {
			return "", size, err
		}
	}
}
