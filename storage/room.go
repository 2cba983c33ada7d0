package storage

import (
	"context"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage/share"
)

const (
	// roomFrom is the size from which on an upload's room is looked for first.
	// The question is a round trip to the file server, and a smaller upload
	// learns as quickly that storage is full.
	roomFrom = 1 << 20

	// What uploads of that size leave free, for small ones and for the probes by
	// which servers know each other: a hundredth, but not more than this.
	maxReserve = 64 << 20
)

// checkRoom refuses an upload of the given size if storage says that it has no
// room for it. Storage that does not say, refuses by itself. Uploads that come
// at once are not added up: the one that finds storage full then fails as late
// as all did without the question.
func (s *Store) checkRoom(ctx context.Context, size int64) error {
	var space share.Space
	if size < roomFrom || !s.bucket.As(&space) {
		return nil
	}
	free, total, err := space(ctx)
	if err != nil || total <= 0 || size <= free-min(total/100, maxReserve) {
		return nil
	}
	return proget.Errorf(proget.ErrNoSpace, "Storage has no room for a file of %d bytes.", size)
}
