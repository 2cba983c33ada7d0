package testenv

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Process is a server that runs as a separate process.
type Process struct {
	URL  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  *LogBuffer
}

// grace is how long children of a process may hold its output open after it has ended.
// Without it, a child that outlives the process would block whoever waits.
const grace = 5 * time.Second

// Start runs cmd and waits until it listens at the URL, or on a socket given as
// unix:///path. When the test ends, Start kills the process if it still runs.
func Start(t testing.TB, at string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{URL: at, cmd: cmd, done: make(chan struct{}), log: new(LogBuffer)}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = p.log, p.log, grace
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.done
	})
	address, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	network, host := "tcp", address.Host
	if address.Scheme == "unix" {
		network, host = "unix", address.Path
	}
	late := time.After(2 * time.Minute)
	for {
		conn, err := net.DialTimeout(network, host, time.Second)
		if err == nil {
			_ = conn.Close()
			select {
			case <-p.done:
				t.Fatalf("another server listens at %s; %s ended:\n%s", at, cmd, p.Log())
			default:
			}
			return p
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s", cmd, p.Log())
		case <-late:
			t.Fatalf("%s does not listen: %v\n%s", cmd, err, p.Log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Signal sends a signal to the process.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Wait waits until the process has ended and returns its exit code.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end:\n%s", p.cmd, p.Log())
		return -1
	}
}

// Log returns the output of the process.
func (p *Process) Log() string { return p.log.String() }

// CPU returns the processor time that the process has used.
func (p *Process) CPU(t testing.TB) time.Duration {
	t.Helper()
	onLinux(t)
	own, _, _ := times(t, p.proc(t, "stat"))
	return own
}

func onLinux(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("what another process uses is read on Linux only")
	}
}

// times parses proc(5)'s stat: utime and stime of the process and of its ended
// children, in ticks of 10 ms, and the parent.
func times(t testing.TB, stat string) (own, ended time.Duration, parent int) {
	t.Helper()
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	ticks := func(fields []string) (sum time.Duration) {
		for _, f := range fields {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += time.Duration(n) * 10 * time.Millisecond
		}
		return sum
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return ticks(fields[11:13]), ticks(fields[13:15]), parent
}

// Memory returns the resident size of the process, in bytes.
func (p *Process) Memory(t testing.TB) int64 { return p.status(t, "VmRSS:") }

// PeakMemory returns the largest resident size of the process so far, in bytes.
func (p *Process) PeakMemory(t testing.TB) int64 { return p.status(t, "VmHWM:") }

func (p *Process) status(t testing.TB, name string) int64 {
	t.Helper()
	onLinux(t)
	_, rest, _ := strings.Cut(p.proc(t, "status"), name)
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

func (p *Process) proc(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A LogBuffer keeps what is written to it. Several writers may write at once.
type LogBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *LogBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *LogBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
