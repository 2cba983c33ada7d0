package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
)

// spareMemory collects garbage earlier where much memory is in use, and as late as by
// default where little is: it allocates bytes that count as in use, but never touches
// them, so they occupy no memory. It does nothing if GOGC is set. Call end when the
// program ends.
func spareMemory() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	counted := make([]byte, 16<<20)
	debug.SetGCPercent(50)
	return func() { runtime.KeepAlive(counted) }
}

// releaseStart gives back the memory that only the start needed, as for loading the search
// index.
func releaseStart() {
	debug.FreeOSMemory()
	if err := unmapProgram(); err != nil {
		slog.Info("memory that only the start needed could not be given back", "error", err)
	}
}
