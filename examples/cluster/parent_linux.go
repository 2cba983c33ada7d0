package main

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel kill the process when this one ends without stopping
// it. It sends SIGKILL, the only signal that also ends a paused process.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
