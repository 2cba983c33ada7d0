package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Etcd is a single-member etcd on the loopback address.
type Etcd struct {
	Address string // host:port for clients

	program, dir, peer, client string
	flags                      []string
	process                    *Process
}

// StartEtcd starts an etcd with additional flags. When the test ends, it stops and its
// data is removed. With the flag --cert-file it serves over TLS.
func StartEtcd(t testing.TB, flags ...string) *Etcd {
	t.Helper()
	e := &Etcd{
		program: Program(t, "install etcd (Debian: apt-get install etcd-server)", "etcd"),
		Address: fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		peer:    fmt.Sprintf("http://127.0.0.1:%d", FreePort(t)),
		dir:     filepath.Join(t.TempDir(), "etcd"),
		flags:   flags,
	}
	e.client = "http://" + e.Address
	if slices.Contains(flags, "--cert-file") {
		e.client = "https://" + e.Address
	}
	e.Restart(t)
	return e
}

// Restart starts etcd again with its data, after Kill.
func (e *Etcd) Restart(t testing.TB) {
	t.Helper()
	args := []string{"--data-dir", e.dir, "--listen-client-urls", e.client, "--advertise-client-urls", e.client,
		"--listen-peer-urls", e.peer, "--initial-advertise-peer-urls", e.peer, "--initial-cluster", "default=" + e.peer, "--unsafe-no-fsync"}
	e.process = Start(t, e.client, exec.Command(e.program, append(args, e.flags...)...))
}

// Kill ends the process as a power cut would.
func (e *Etcd) Kill(t testing.TB) {
	t.Helper()
	e.process.Signal(t, os.Kill)
	e.process.Wait(t)
}

// Lose deletes etcd's data, after Kill.
func (e *Etcd) Lose(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(e.dir); err != nil {
		t.Fatal(err)
	}
}
