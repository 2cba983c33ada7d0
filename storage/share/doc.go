// Package share stores blobs in a folder that several machines mount: a NAS over NFS, a
// Windows share over SMB, or a plain local disk. It is a driver of [gocloud.dev/blob];
// [OpenBucket] returns the portable bucket.
//
// # What it guarantees
//
// An object is visible only when it is complete, and survives a power cut once Close of
// its writer has returned nil. The writer writes the bytes to a temporary file beside
// the final name, syncs and closes it, renames it, and syncs the folder. When a process
// first uses a folder, it syncs the parent, since the process that made the folder may
// have been killed before it did so. There are no side files: each object is one file.
//
// The mount determines what a sync is worth. The kernels' NFS and SMB clients pass it
// on to the file server; one in user space, such as smbnetfs, may not, so that a power
// cut of the server can lose what was acknowledged last.
//
// The bucket retries a few times after a stale NFS handle or an SMB sharing violation,
// each time from the root folder down. It resolves paths inside the root folder
// ([os.Root]); a symbolic link cannot lead out of it.
//
// # What it does not do
//
// The bucket stores nothing but bytes: it drops content types and metadata, which
// gocloud allows, and callers keep theirs in the database. It refuses IfNotExist and
// Copy as unimplemented. A correct IfNotExist needs link(2), which SMB lacks, and keys
// that are never used twice do not need it.
//
// Keys are slash-separated names that are valid on every system. Names that begin with
// a dot are reserved, so that temporary files, NFS's ".nfs…" files and snapshot folders
// never look like objects. The file system may not distinguish upper and lower case, so
// callers should use lower case.
//
// A killed process leaves a temporary file behind, which List does not show and a
// [Sweeper] removes.
package share
