//go:build !windows

package election

import "syscall"

// refused is the error of dialing a port on which nobody listens.
const refused = syscall.ECONNREFUSED
