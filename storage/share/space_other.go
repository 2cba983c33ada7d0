//go:build !linux && !darwin && !freebsd && !windows

package share

// spaceOf reports nothing, since it does not know how to ask this system.
func spaceOf(string) (free, total int64, err error) { return 0, 0, nil }
