//go:build unix

package faulty

import "syscall"

// What a file system says when it fails.
var (
	ErrNoSpace  error = syscall.ENOSPC
	ErrStale    error = syscall.ESTALE
	ErrIO       error = syscall.EIO
	ErrDenied   error = syscall.EACCES
	ErrReadOnly error = syscall.EROFS
)
