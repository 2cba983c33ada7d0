package sqlite

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

func refuseNetworkFolder(folder string) error {
	root, err := windows.UTF16PtrFromString(filepath.VolumeName(folder) + `\`)
	if err != nil || windows.GetDriveType(root) != windows.DRIVE_REMOTE {
		return nil // opening the file will say what is wrong
	}
	return refused("network", folder)
}
