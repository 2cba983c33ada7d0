//go:build !linux && !darwin && !freebsd && !windows

package share

// spaceOf does not know how this system is asked.
func spaceOf(string) (free, total int64, err error) { return 0, 0, nil }
