package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that makes databases
)

// Postgres is a private PostgreSQL server on the loopback address, or the one
// that PROGET_TEST_POSTGRES names.
type Postgres struct {
	url         string // with %s in the place of the database
	start, stop func(t testing.TB)
}

// StartPostgres starts a server that stops with the test.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	if url := os.Getenv("PROGET_TEST_POSTGRES"); url != "" {
		base, query, _ := strings.Cut(url, "?")
		return &Postgres{url: base[:strings.LastIndex(base, "/")] + "/%s?" + query}
	}
	initdb := Program(t, "install PostgreSQL (Debian: apt-get install postgresql)", "initdb", "/usr/lib/postgresql/*/bin/initdb")
	bin := filepath.Dir(initdb)
	dir, err := os.MkdirTemp("", "proget-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	asPostgres(t, dir, initdb, "-D", filepath.Join(dir, "data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
	port := FreePort(t)
	options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c max_connections=200", port, dir)
	pgctl, data := filepath.Join(bin, "pg_ctl"), filepath.Join(dir, "data")
	p := &Postgres{
		url: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%%s?sslmode=disable", port),
		start: func(t testing.TB) {
			asPostgres(t, dir, pgctl, "-D", data, "-l", filepath.Join(dir, "log"), "-w", "-o", options, "start")
		},
		stop: func(t testing.TB) { asPostgres(t, dir, pgctl, "-D", data, "-m", "immediate", "-w", "stop") },
	}
	p.start(t)
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(data, "postmaster.pid")); err == nil { // the test may have stopped it
			p.stop(t)
		}
	})
	return p
}

// Stop stops the server as a crash would. The test starts it again.
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	if p.stop == nil {
		t.Skip("this test stops the server: unset PROGET_TEST_POSTGRES")
	}
	p.stop(t)
}

// Start starts it again, with what it had acknowledged.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	p.start(t)
}

// asPostgres runs a program of the server, which refuses to be run by root.
func asPostgres(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	if os.Geteuid() == 0 {
		if out, err := exec.Command("chown", "-R", "postgres", dir).CombinedOutput(); err != nil {
			t.Fatalf("give %s to the user postgres: %v\n%s", dir, err, out)
		}
		cmd = exec.Command("runuser", append([]string{"-u", "postgres", "--", name}, args...)...)
	}
	cmd.Dir = dir
	out, err := os.CreateTemp("", "proget-postgres-out-") // a pipe would stay open in the server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("%s: %v\n%s", cmd, err, text)
	}
}

// NewDatabase creates an empty database and returns its URL.
func (p *Postgres) NewDatabase(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf(p.url, createDatabase(t, fmt.Sprintf(p.url, "postgres")))
}

// createDatabase creates an empty database on a server and returns its name.
func createDatabase(t testing.TB, url string) string {
	t.Helper()
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	name := fmt.Sprintf("test_%d", time.Now().UnixNano())
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return name
}
