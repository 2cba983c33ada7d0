package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// spareMemory has less garbage wait to be collected where a lot of memory is in
// use, and as much as ever where there is little: the bytes are counted as in use,
// but never touched, so they take none. GOGC, if it is set, is respected instead.
// What it returns is to be called when the program ends.
func spareMemory() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	counted := make([]byte, 16<<20)
	debug.SetGCPercent(50)
	return func() { runtime.KeepAlive(counted) }
}
