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

// Verify reads an object again. It returns nil if it is as Put returned it,
// [ErrDamaged] if its size or its SHA-256 differs, [proget.ErrNotFound] if it is
// missing, and another error if that could not be found out.
func (s *Store) Verify(ctx context.Context, b Blob) error {
	r, err := s.Open(ctx, b.Key)
	if err != nil {
		return err
	}
	defer r.Close()
	if r.Size() != b.Size {
		return fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, b.Key, r.Size(), b.Size)
	}
	sum := sha256.New()
	// Not by WriteTo, which cannot tell which side an error comes from.
	if _, err := io.Copy(sum, struct{ io.Reader }{r}); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != b.Digests[proget.SHA256] {
		return fmt.Errorf("%w: %s has another digest", ErrDamaged, b.Key)
	}
	return nil
}
