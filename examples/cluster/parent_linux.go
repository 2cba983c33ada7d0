package main

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the process end when this one is killed and cannot end
// it. It is killed, as one that is paused hears of nothing else.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
