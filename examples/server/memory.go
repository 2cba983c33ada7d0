package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"
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
// index, once the node has run for some seconds.
func releaseStart(ctx context.Context) {
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
		return
	}
	debug.FreeOSMemory()
	if err := unmapProgram(); err != nil {
		slog.Info("memory that only the start needed could not be given back", "error", err)
	}
}
