package share

import (
	"context"
	"os"
)

// Space returns how many bytes this server may still write to the folder's file system,
// and its total size in bytes, or a total of 0 if the file system does not report it.
// The As method of this package's bucket gives its Space.
type Space func(ctx context.Context) (free, total int64, err error)

// space is the bucket's [Space].
func (b *bucket) space(ctx context.Context) (free, total int64, err error) {
	err = b.do(ctx, func(*os.Root) (err error) { // the open root ensures that the answer is about the share, not the disk below it
		free, total, err = spaceOf(b.dir)
		return err
	})
	return free, total, err
}
