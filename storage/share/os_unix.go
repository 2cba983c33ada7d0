//go:build unix

package share

import (
	"os"
	"syscall"
)

// isTransient reports whether a second attempt may succeed. A stale handle means that
// the file was replaced or removed through another machine, or that the server moved;
// looking the name up again gives a fresh one. SMB clients report a sharing violation
// as "busy": someone else has the file open.
func isTransient(err error) bool {
	return isAny(err, syscall.ESTALE, syscall.EBUSY, syscall.ETXTBSY)
}

func isNoSpace(err error) bool {
	return isAny(err, syscall.ENOSPC, syscall.EDQUOT)
}

func isReadOnly(err error) bool {
	return isAny(err, syscall.EROFS)
}

func isUnavailable(err error) bool {
	return isTransient(err) || isAny(err, syscall.EIO, syscall.ENXIO, syscall.ENODEV, syscall.EROFS,
		syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.ECONNREFUSED, syscall.ECONNRESET,
		syscall.ECONNABORTED, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN)
}

// isNotFolder reports whether an element in the middle of a path is a file, so that
// nothing can be below it.
func isNotFolder(err error) bool {
	return isAny(err, syscall.ENOTDIR)
}

// syncFolder makes the names in a folder durable. Some network file systems report that
// they cannot sync a folder; they keep names on the server anyway.
func syncFolder(f *os.File) error {
	err := f.Sync()
	if isAny(err, syscall.EINVAL, syscall.ENOTSUP, syscall.ENOSYS) {
		return nil
	}
	return err
}
