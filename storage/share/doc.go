// Package share stores blobs in a folder that several machines mount: a NAS
// over NFS, a Windows share over SMB, or a plain local disk. It is a driver of
// [gocloud.dev/blob]; [OpenBucket] gives the portable bucket.
//
// # What it guarantees
//
// An object is visible only when it is complete, and stays after a power cut
// once Close of its writer has returned nil: the bytes go to a temporary file
// beside the final name, which is synced and closed, renamed, and followed by a
// sync of the folder. The parent of a folder is synced when a process uses that for
// the first time: whoever made it may have been killed before.
// There are no side files, so an object is one file and the file is the object.
//
// What a sync is worth is up to the mount. The kernels' clients of NFS and SMB
// pass it on to the file server; one in user space may not, such as smbnetfs,
// over which a power cut of the server can take what was acknowledged last.
//
// A stale NFS handle and a sharing violation of SMB are tried again a few
// times, each time from the root folder down. Paths are resolved inside the
// root folder ([os.Root]); a symbolic link cannot lead out of it.
//
// # What it does not do
//
// Nothing but bytes is stored: content types and metadata are dropped, which
// gocloud allows, and callers keep theirs in the database. IfNotExist and Copy
// are refused as unimplemented. An honest IfNotExist needs link(2), which SMB
// lacks, and keys that are never used twice do not need it.
//
// Keys are slash-separated names that are valid on every system; names that
// begin with a dot are reserved, so that temporary files, NFS's ".nfs…" files
// and snapshot folders never look like objects. Upper and lower case may be the
// same to the file system, so callers should keep to lower case.
//
// What a killed process leaves behind is a temporary file, which List does not
// show and a [Sweeper] removes.
package share
