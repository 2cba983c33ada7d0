package main

import "os"

// resume does nothing: here, processes cannot be paused by a signal.
func resume(*os.Process) {}
