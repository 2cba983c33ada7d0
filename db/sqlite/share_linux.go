package sqlite

import "golang.org/x/sys/unix"

// networkFileSystems are the magic numbers that statfs(2) gives for file
// systems without shared memory between machines.
var networkFileSystems = map[int64]string{
	unix.NFS_SUPER_MAGIC:  "NFS",
	unix.SMB_SUPER_MAGIC:  "SMB",
	unix.SMB2_SUPER_MAGIC: "SMB",
	unix.CIFS_SUPER_MAGIC: "CIFS",
	unix.AFS_SUPER_MAGIC:  "AFS",
	unix.CEPH_SUPER_MAGIC: "CephFS",
	unix.V9FS_MAGIC:       "9P",
}

func refuseNetworkFolder(folder string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return nil // opening the file will say what is wrong
	}
	if name, ok := networkFileSystems[int64(st.Type)]; ok {
		return refused(name, folder)
	}
	return nil
}
