//go:build !windows

package election

import "syscall"

// refused is what the kernel answers where nobody listens.
const refused = syscall.ECONNREFUSED
