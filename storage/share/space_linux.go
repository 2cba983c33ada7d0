package share

import "golang.org/x/sys/unix"

func spaceOf(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	unit := int64(s.Frsize)
	if unit == 0 {
		unit = int64(s.Bsize)
	}
	return int64(s.Bavail) * unit, int64(s.Blocks) * unit, nil
}
