//go:build !linux

package main

import "os/exec"

// endWithParent does nothing: only Linux offers it.
func endWithParent(*exec.Cmd) {}
