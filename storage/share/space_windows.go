package share

import "golang.org/x/sys/windows"

// spaceOf returns what this account may use, so quotas count.
func spaceOf(dir string) (free, total int64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var available, all uint64
	if err := windows.GetDiskFreeSpaceEx(name, &available, &all, nil); err != nil {
		return 0, 0, err
	}
	return int64(available), int64(all), nil
}
