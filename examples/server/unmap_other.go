//go:build !linux

package main

// unmapFiles does nothing on this system.
func unmapFiles() error { return nil }
