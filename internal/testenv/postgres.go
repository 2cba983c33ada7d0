package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that makes databases
)

// Postgres is a private PostgreSQL server on the loopback address, or the one
// that PROGET_TEST_POSTGRES names.
type Postgres struct {
	url      string // with %s in place of the database
	bin, dir string // "" if the server does not belong to this test
	port     int
}

// StartPostgres starts a server that stops with the test.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	if url := os.Getenv("PROGET_TEST_POSTGRES"); url != "" {
		base, query, _ := strings.Cut(url, "?")
		return &Postgres{url: base[:strings.LastIndex(base, "/")] + "/%s?" + query}
	}
	initdb := Program(t, "install PostgreSQL (Debian: apt-get install postgresql)", "initdb", "/usr/lib/postgresql/*/bin/initdb")
	initdb, err := filepath.EvalSymlinks(initdb)
	if err != nil {
		t.Fatal(err)
	}
	p := newPostgres(t, filepath.Dir(initdb))
	p.initialize(t)
	return p
}

func (p *Postgres) initialize(t testing.TB) {
	t.Helper()
	p.run(t, "initdb", "-D", p.data(), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
	p.launch(t)
}

// StartPostgresVersion starts a server of the given major version, which may differ
// from the system's.
func StartPostgresVersion(t testing.TB, major string) *Postgres {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("other versions of PostgreSQL are installed on Linux on amd64 only")
	}
	unpacked := filepath.Join(cache(), "postgres", major, "package", "native")
	if _, err := os.Stat(unpacked); err != nil {
		Missing(t, "PostgreSQL "+major, "run make deps")
	}
	p := newPostgres(t, "")
	p.bin = filepath.Join(p.dir, "native", "bin") // a copy that the server's user can read
	if err := os.CopyFS(filepath.Dir(p.bin), os.DirFS(unpacked)); err != nil {
		t.Fatal(err)
	}
	p.initialize(t)
	return p
}

// StartStandby starts a server that replicates p.
func (p *Postgres) StartStandby(t testing.TB) *Postgres {
	t.Helper()
	p.own(t)
	standby := newPostgres(t, p.bin)
	standby.run(t, "pg_basebackup", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", "postgres", "-D", standby.data(), "-R", "-c", "fast", "--no-sync")
	standby.launch(t)
	return standby
}

// Promote makes a standby a primary. The server that it replicated is not told.
func (p *Postgres) Promote(t testing.TB) {
	t.Helper()
	p.run(t, "pg_ctl", "-D", p.data(), "-w", "promote")
}

func newPostgres(t testing.TB, bin string) *Postgres {
	t.Helper()
	dir, err := os.MkdirTemp("", "proget-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port := FreePort(t)
	return &Postgres{fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%%s?sslmode=disable", port), bin, dir, port}
}

// launch starts the server and stops it when the test ends.
func (p *Postgres) launch(t testing.TB) {
	t.Helper()
	p.Start(t)
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(p.data(), "postmaster.pid")); err == nil { // the test may have stopped it
			p.Stop(t)
		}
	})
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// own skips the test unless p belongs to it.
func (p *Postgres) own(t testing.TB) {
	t.Helper()
	if p.dir == "" {
		t.Skip("this test stops its server: unset PROGET_TEST_POSTGRES")
	}
}

// CPU returns the processor time that the server and its connections have used.
func (p *Postgres) CPU(t testing.TB) (sum time.Duration) {
	t.Helper()
	p.own(t)
	onLinux(t)
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it ended meanwhile
		}
		own, ended, parent := times(t, string(stat))
		switch {
		case filepath.Base(filepath.Dir(name)) == first:
			sum += own + ended
		case parent == postmaster:
			sum += own
		}
	}
	return sum
}

// Stop stops the server as a crash would. The test must start it again.
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	p.own(t)
	p.run(t, "pg_ctl", "-D", p.data(), "-m", "immediate", "-w", "stop")
}

// Start starts the server again, with what it had acknowledged.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c max_connections=200", p.port, p.dir)
	if _, measured := t.(*testing.B); !measured {
		options += " -c fsync=off" // a test ends processes, not machines
	}
	p.run(t, "pg_ctl", "-D", p.data(), "-l", filepath.Join(p.dir, "log"), "-w", "-o", options, "start")
}

func (p *Postgres) run(t testing.TB, program string, args ...string) {
	t.Helper()
	asPostgres(t, p.dir, filepath.Join(p.bin, program), args...)
}

// Host returns the server's address.
func (p *Postgres) Host() string {
	_, rest, _ := strings.Cut(p.url, "://") // it may be PROGET_TEST_POSTGRES's
	host, _, _ := strings.Cut(rest, "/")
	return host[strings.LastIndex(host, "@")+1:]
}

// asPostgres runs a program of the server as another user if this is root, which the
// program refuses.
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
	out, err := os.CreateTemp("", "proget-postgres-out-") // the server would keep a pipe open
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
