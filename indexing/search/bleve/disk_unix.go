//go:build unix

package bleve

import "syscall"

const errReadOnly = syscall.EROFS

// refusals are how a disk that is full or read-only says so.
var refusals = []error{errReadOnly, syscall.ENOSPC, syscall.EDQUOT}
