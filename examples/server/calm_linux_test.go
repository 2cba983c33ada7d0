package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBecomeCalm runs itself as processes of their own. One that is started with the usual
// slack runs the program twice; then, the threads that run goroutines have the usual slack
// and another thread has a longer one. A process keeps any other slack that it is started
// with.
func TestBecomeCalm(t *testing.T) {
	const child = "PROGET_TEST_CALM"
	if os.Getenv(child) != "" {
		becomeCalm()
		fmt.Printf("%v %q %v\n", calm, os.Getenv(restarted), slacks())
		os.Exit(0)
	}
	t.Parallel()
	out := runWith(t, usualSlack, child)
	require.Contains(t, out, `true ""`)
	if !strings.Contains(out, "[]") { // the user may see it
		require.Contains(t, out, "[50µs 1ms]")
	}
	out = runWith(t, 70*time.Microsecond, child)
	require.Contains(t, out, `false ""`)
	require.NotContains(t, out, "1ms")
}

// runWith runs this test with a variable set, started by a thread that has the slack.
func runWith(t *testing.T, d time.Duration, variable string) string {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBecomeCalm$")
	cmd.Env = append(os.Environ(), variable+"=1")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := slack()
	require.NoError(t, setSlack(d))
	defer func() { require.NoError(t, setSlack(before)) }()
	out, err := cmd.Output()
	require.NoError(t, err, string(out))
	return string(out)
}

// slacks returns what timer slacks the threads of this process have, as far as the user
// may know.
func slacks() []time.Duration {
	all := make(map[time.Duration]bool)
	threads, _ := filepath.Glob("/proc/self/task/*")
	for _, thread := range threads {
		var ns int64
		if text, err := os.ReadFile(filepath.Join("/proc", filepath.Base(thread), "timerslack_ns")); err == nil {
			if _, err := fmt.Sscan(string(text), &ns); err == nil {
				all[time.Duration(ns)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}
