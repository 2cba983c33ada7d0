package bleve

import "syscall"

const errReadOnly = syscall.Errno(19) // ERROR_WRITE_PROTECT

// refusals are the errors of a disk that is full or read-only: ERROR_HANDLE_DISK_FULL,
// ERROR_DISK_FULL and ERROR_DISK_QUOTA_EXCEEDED.
var refusals = []error{errReadOnly, syscall.Errno(39), syscall.Errno(112), syscall.Errno(1295)}
