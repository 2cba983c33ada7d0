package share

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Sweeper removes the temporary files that writers who were killed have left
// behind and that nobody has written to for the given time, by the file
// server's clock against this machine's. It returns how many it removed.
//
// The time must be longer than any upload may pause, and than the clocks may
// differ; hours are right. A bucket of this package gives its Sweeper through
// its As method.
type Sweeper func(ctx context.Context, idle time.Duration) (removed int, err error)

// sweep is the bucket's [Sweeper]. What it cannot remove now, it leaves to the
// next sweep.
func (b *bucket) sweep(ctx context.Context, idle time.Duration) (removed int, err error) {
	cutoff := time.Now().Add(-idle)
	err = b.do(ctx, func(root *os.Root) error {
		return fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return passOver(err)
			}
			if isLeftover(entry, cutoff) && root.Remove(filepath.FromSlash(path)) == nil {
				removed++
			}
			return nil
		})
	})
	return removed, err
}

// passOver lets a walk go on after a folder that is gone or not ours, such as
// lost+found.
func passOver(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

func isLeftover(entry fs.DirEntry, cutoff time.Time) bool {
	if !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), tempPrefix) {
		return false
	}
	info, err := entry.Info()
	return err == nil && info.ModTime().Before(cutoff)
}
