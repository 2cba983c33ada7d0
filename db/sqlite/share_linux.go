package sqlite

import (
	"golang.org/x/sys/unix"

	"github.com/proget-go/ha/proget"
)

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
		return proget.Errorf(proget.ErrInvalid,
			"SQLite cannot be used on the %s share %s, because its write-ahead log needs memory that machines do not share: use a local folder, or PostgreSQL or SQL Server for several machines.", name, folder)
	}
	return nil
}
