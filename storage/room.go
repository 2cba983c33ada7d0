package storage

import (
	"context"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage/share"
)

const (
	// roomFrom is the size in bytes from which on an upload first asks for free space.
	// That is a round trip to the file server, and a smaller upload finds out as
	// quickly by itself that storage is full.
	roomFrom = 1 << 20

	// maxReserve limits the space, otherwise a hundredth, that such uploads leave free
	// for small ones and for the probes by which servers know each other.
	maxReserve = 64 << 20
)

// checkRoom refuses an upload of the given size if storage reports too little free
// space. Storage that reports none refuses by itself. checkRoom does not add up
// concurrent uploads: one that finds storage full then fails as late as without this
// check.
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
