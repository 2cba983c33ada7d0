package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/proget-go/ha/proget"
)

// OpenBlob is Open for an object that must be b. [ErrDamaged] says that it has
// another size. Where the bytes pass through this process, which they do not if
// the kernel sends a file, whoever reads from the beginning to the end has them
// checked: a wrong digest is an error in the place of the last bytes, so that an
// answer of known length ends short instead of wrong. A part cannot be checked.
func (s *Store) OpenBlob(ctx context.Context, b Blob) (*Reader, error) {
	r, err := s.Open(ctx, b.Key)
	if err != nil {
		return nil, err
	}
	if r.Size() != b.Size {
		_ = r.Close()
		return nil, fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, b.Key, r.Size(), b.Size)
	}
	if r.content == io.ReadSeeker(r.blob) {
		r.check = &checked{ReadSeeker: r.blob, blob: b, sum: sha256.New()}
		r.content = r.check
	}
	return r, nil
}

// Fault returns the error that ended reading, or nil. It is for those who gave
// Content away and were not told.
func (r *Reader) Fault() error {
	if r.check == nil || r.check.fault == nil {
		return nil
	}
	return r.fail(r.check.fault)
}

// checked hashes what is read in order.
type checked struct {
	io.ReadSeeker
	blob   Blob
	sum    hash.Hash
	at     int64 // where the next read begins
	hashed int64 // how much of the object is in sum
	fault  error
}

// Read implements [io.Reader].
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	if c.at == c.hashed {
		c.sum.Write(p[:n]) // never fails
		c.hashed += int64(n)
	}
	c.at += int64(n)
	switch {
	case err == io.EOF && c.at < c.blob.Size:
		err = io.ErrUnexpectedEOF
	case c.hashed == c.blob.Size && c.at == c.hashed && hex.EncodeToString(c.sum.Sum(nil)) != c.blob.Digests[proget.SHA256]:
		n, err = 0, fmt.Errorf("%w: %s has another digest", ErrDamaged, c.blob.Key)
	}
	if err != nil && err != io.EOF {
		c.fault = err
	}
	return n, err
}

// Seek implements [io.Seeker]. Back at the beginning, checking begins anew.
func (c *checked) Seek(offset int64, whence int) (int64, error) {
	at, err := c.ReadSeeker.Seek(offset, whence)
	if err != nil {
		return at, err
	}
	c.at = at
	if at == 0 {
		c.sum.Reset()
		c.hashed = 0
	}
	return at, nil
}
