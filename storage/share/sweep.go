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

// A Sweeper removes the temporary files that killed writers have left behind and nobody
// has written to for idle, and returns how many it removed. It compares the file
// server's timestamps with this machine's clock.
//
// Idle must be longer than any upload may pause and than the clocks may differ; some
// hours are right. The As method of this package's bucket gives its Sweeper.
type Sweeper func(ctx context.Context, idle time.Duration) (removed int, err error)

// sweep is the bucket's [Sweeper]. It leaves what it cannot remove to the next sweep.
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

// passOver lets a walk continue after a folder that is gone or inaccessible, such as
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
