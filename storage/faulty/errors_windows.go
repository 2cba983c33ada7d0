package faulty

import "syscall"

// Errors of a file system, by their numbers in winerror.h.
var (
	ErrNoSpace  error = syscall.Errno(112)
	ErrStale    error = syscall.Errno(59) // an unexpected network error
	ErrIO       error = syscall.Errno(1117)
	ErrDenied   error = syscall.Errno(5)
	ErrReadOnly error = syscall.Errno(19)
)
