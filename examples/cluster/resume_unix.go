//go:build unix

package main

import (
	"os"
	"syscall"
)

// resume lets a process go on that somebody has paused.
func resume(p *os.Process) {
	_ = p.Signal(syscall.SIGCONT) // it may have ended
}
