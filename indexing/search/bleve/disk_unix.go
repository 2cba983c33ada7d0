//go:build unix

package bleve

import "syscall"

const errReadOnly = syscall.EROFS

// refusals are the errors of a disk that is full or read-only.
var refusals = []error{errReadOnly, syscall.ENOSPC, syscall.EDQUOT}
