//go:build unix

package main

import (
	"os"
	"syscall"
)

// Errors are ignored, since the process may have ended.

// resume lets a process go on that somebody has paused.
func resume(p *os.Process) { _ = p.Signal(syscall.SIGCONT) }

// pause has a process stand still until it is resumed.
func pause(p *os.Process) { _ = p.Signal(syscall.SIGSTOP) }

// terminate tells a process to stop, and to let load balancers notice first.
func terminate(p *os.Process) { _ = p.Signal(syscall.SIGTERM) }
