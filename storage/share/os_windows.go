package share

import (
	"os"
	"syscall"
)

// The Windows errors that concern a share, by the names of winerror.h.
const (
	errorAccessDenied       = syscall.Errno(5)
	errorWriteProtect       = syscall.Errno(19)
	errorNotReady           = syscall.Errno(21)
	errorSharingViolation   = syscall.Errno(32)
	errorLockViolation      = syscall.Errno(33)
	errorHandleDiskFull     = syscall.Errno(39)
	errorRemNotList         = syscall.Errno(51)
	errorBadNetPath         = syscall.Errno(53)
	errorDevNotExist        = syscall.Errno(55)
	errorUnexpNetErr        = syscall.Errno(59)
	errorNetNameDeleted     = syscall.Errno(64)
	errorBadNetName         = syscall.Errno(67)
	errorDiskFull           = syscall.Errno(112)
	errorSemTimeout         = syscall.Errno(121)
	errorIODevice           = syscall.Errno(1117)
	errorNetworkUnreachable = syscall.Errno(1231)
	errorHostUnreachable    = syscall.Errno(1232)
	errorConnectionAborted  = syscall.Errno(1236)
	errorDiskQuotaExceeded  = syscall.Errno(1295)
)

// isTransient reports whether a second attempt may succeed: virus scanners and
// indexers hold new files open for a moment, and a file whose deletion is
// pending answers with "access denied".
func isTransient(err error) bool {
	return isAny(err, errorSharingViolation, errorLockViolation, errorAccessDenied)
}

func isNoSpace(err error) bool {
	return isAny(err, errorDiskFull, errorHandleDiskFull, errorDiskQuotaExceeded)
}

func isReadOnly(err error) bool {
	return isAny(err, errorWriteProtect)
}

func isUnavailable(err error) bool {
	return isAny(err, errorSharingViolation, errorLockViolation, errorWriteProtect, errorNotReady, errorRemNotList,
		errorBadNetPath, errorDevNotExist, errorUnexpNetErr, errorNetNameDeleted, errorBadNetName,
		errorSemTimeout, errorIODevice, errorNetworkUnreachable, errorHostUnreachable, errorConnectionAborted)
}

// isNotFolder reports whether err is ENOTDIR.
func isNotFolder(err error) bool {
	return isAny(err, syscall.ENOTDIR)
}

// syncFolder does nothing: Windows cannot flush a folder, and NTFS journals
// names by itself.
func syncFolder(*os.File) error { return nil }
