//go:build unix

package faulty

import "syscall"

// Errors of a file system.
var (
	ErrNoSpace  error = syscall.ENOSPC
	ErrStale    error = syscall.ESTALE
	ErrIO       error = syscall.EIO
	ErrDenied   error = syscall.EACCES
	ErrReadOnly error = syscall.EROFS
)
