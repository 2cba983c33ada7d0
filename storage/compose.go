package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage/share"
)

// Compose concatenates parts, in their order, into one new object. Their bytes do not
// pass through this process: in a shared folder the kernel or the file server copies
// them; otherwise the service does. The returned blob has no digests; the caller knows
// them. Compose returns [ErrUnsupported] if this storage cannot do that, or not with
// these parts.
func (s *Store) Compose(ctx context.Context, parts []Blob) (Blob, error) {
	var whole Blob
	keys := make([]string, len(parts))
	for i, part := range parts {
		if err := checkKey(part.Key); err != nil {
			return Blob{}, err
		}
		keys[i] = part.Key
		whole.Size += part.Size
	}
	whole.Key = s.keys.newBlob()
	err := s.compose(ctx, whole.Key, keys, parts)
	if errors.Is(err, ErrUnsupported) {
		return Blob{}, err
	}
	if err != nil {
		_ = s.Discard(ctx, whole.Key)
		return Blob{}, s.wrap(ctx, err, "compose object")
	}
	return whole, s.checkSize(ctx, whole)
}

func (s *Store) compose(ctx context.Context, key string, keys []string, parts []Blob) error {
	var compose share.Composer
	switch {
	case s.bucket.As(&compose):
		return compose(ctx, key, keys)
	case s.bucket.Compose != nil:
		sources := make([]Object, len(parts))
		for i, part := range parts {
			sources[i] = Object{Key: s.prefix + part.Key, Size: part.Size}
		}
		return s.bucket.Compose(ctx, s.prefix+key, defaultContentType, sources)
	}
	return ErrUnsupported
}

// checkSize returns an [ErrDamaged], and discards the object, if its size is not
// b.Size.
func (s *Store) checkSize(ctx context.Context, b Blob) error {
	about, err := s.bucket.Attributes(ctx, b.Key)
	if err != nil {
		return s.wrap(ctx, err, "look at object")
	}
	if about.Size != b.Size {
		_ = s.Discard(ctx, b.Key)
		return proget.WrapError(proget.ErrUnavailable, fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, b.Key, about.Size, b.Size),
			"Storage has not kept what was uploaded: send it again.")
	}
	return nil
}
