package share

import (
	"context"
	"os"
)

// Space tells how many bytes this server may still write to the folder's file
// system, and how many that holds in all. A file system that does not say has a
// total of 0. A bucket of this package gives its Space through its As method.
type Space func(ctx context.Context) (free, total int64, err error)

// space is the bucket's [Space].
func (b *bucket) space(ctx context.Context) (free, total int64, err error) {
	err = b.do(ctx, func(*os.Root) (err error) { // with the root open, what is asked about is the share, not the disk below
		free, total, err = spaceOf(b.dir)
		return err
	})
	return free, total, err
}
