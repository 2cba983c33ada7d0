package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/electionplugin"
	"github.com/proget-go/ha/election/electiontest"
)

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "electionplugin-test-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "electionplugin.exe")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return program, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if program, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// open starts a process of the program, as another server does.
func open(t *testing.T, folder string) *electionplugin.Plugin {
	t.Helper()
	program, err := build()
	require.NoError(t, err)
	p, err := electionplugin.Open(t.Context(), program, []string{folder}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// TestConformance: each driver has a process of its own.
func TestConformance(t *testing.T) {
	t.Parallel()
	electiontest.Run(t, func(t *testing.T) func(*testing.T) election.Driver {
		folder := t.TempDir()
		return func(t *testing.T) election.Driver { return open(t, folder) }
	})
}

// killPlugins ends the processes that use a folder, as a power cut would.
func killPlugins(t *testing.T, folder string) (killed int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("processes are found by /proc")
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, line := range lines {
		text, err := os.ReadFile(line)
		if err != nil || !strings.HasSuffix(string(text), "electionplugin.exe\x00"+folder+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
		require.NoError(t, err)
		p, err := os.FindProcess(pid)
		require.NoError(t, err)
		if p.Kill() == nil {
			killed++
		}
	}
	return killed
}

func candidacy(holder string) election.Candidacy {
	return election.Candidacy{Office: "an/office", Holder: holder, Address: "at " + holder, TTL: time.Minute}
}

// TestKill: after the process was killed the next call works, and what it has
// said holds.
func TestKill(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := open(t, folder)
	var last election.Lease
	for range 3 {
		l, err := p.Acquire(t.Context(), candidacy("a"))
		require.NoError(t, err)
		require.Greater(t, l.Fence.Number, last.Fence.Number)
		last = l
		require.Equal(t, 1, killPlugins(t, folder))
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			return p.Renew(ctx, last) == nil
		}, time.Minute, time.Millisecond)
	}
	_, err := p.Acquire(t.Context(), candidacy("b"))
	require.ErrorIs(t, err, election.ErrHeld)
}

// TestKillAmidst: three servers' processes are killed, all at once, while they
// elect in turn. No number is given twice, and none is forgotten.
func TestKillAmidst(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	given := make(map[int64]string)
	var latest atomic.Int64
	var working sync.WaitGroup
	for n := range 3 {
		p, name := open(t, folder), fmt.Sprint(n)
		working.Go(func() {
			for ctx.Err() == nil {
				before := latest.Load()
				c := candidacy(name)
				if present, err := p.Current(ctx, c.Office); err == nil {
					c.Over = present.Fence
				}
				l, err := p.Acquire(ctx, c)
				if err != nil {
					continue
				}
				mu.Lock()
				assert.Empty(t, given[l.Fence.Number], "given twice")
				given[l.Fence.Number] = name
				mu.Unlock()
				assert.Greater(t, l.Fence.Number, before)
				for was := latest.Load(); was < l.Fence.Number && !latest.CompareAndSwap(was, l.Fence.Number); was = latest.Load() {
				}
			}
		})
	}
	for range 4 {
		target := latest.Load() + 50
		require.Eventually(t, func() bool { return latest.Load() >= target }, time.Minute, time.Millisecond)
		require.Positive(t, killPlugins(t, folder))
	}
	target := latest.Load() + 50
	require.Eventually(t, func() bool { return latest.Load() >= target }, time.Minute, time.Millisecond)
	cancel()
	working.Wait()
	l, err := open(t, folder).Acquire(t.Context(), election.Candidacy{Office: "another", Holder: "b", TTL: time.Minute})
	require.NoError(t, err)
	require.EqualValues(t, 1, l.Fence.Number)
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 2)
}

// TestWrongFolder: the program says why it does not start, in the server's log,
// and makes no folder.
func TestWrongFolder(t *testing.T) {
	t.Parallel()
	program, err := build()
	require.NoError(t, err)
	folder := filepath.Join(t.TempDir(), "missing")
	_, err = electionplugin.Open(t.Context(), program, []string{folder}, nil)
	require.ErrorContains(t, err, "start the plugin")
	require.NoDirExists(t, folder)
	out, err := exec.Command(program, folder).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "missing: no such file")
}
