package sqlite

import "golang.org/x/sys/unix"

func refuseNetworkFolder(folder string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil || st.Flags&unix.MNT_LOCAL != 0 {
		return nil // opening the file will say what is wrong
	}
	return refused(unix.ByteSliceToString(st.Fstypename[:]), folder)
}
