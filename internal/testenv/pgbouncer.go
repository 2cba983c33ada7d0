package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// StartPgBouncer starts a pooler in transaction mode in front of p, which stops with
// the test. The returned function changes the URL of a database to lead through the
// pooler.
func (p *Postgres) StartPgBouncer(t testing.TB) (through func(url string) string) {
	t.Helper()
	p.own(t)
	return p.StartPgBouncerTo(t, p.Host())
}

// StartPgBouncerTo is like StartPgBouncer, but the pooler reaches p at the address
// server.
func (p *Postgres) StartPgBouncerTo(t testing.TB, server string) (through func(url string) string) {
	t.Helper()
	_, at, _ := strings.Cut(server, ":")
	program := Program(t, "install pgbouncer (Debian: apt-get install pgbouncer)", "pgbouncer", "/usr/sbin/pgbouncer")
	dir, err := os.MkdirTemp("", "proget-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port, config := FreePort(t), filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 4
max_client_conn = 500
`, at, port, filepath.Join(dir, "users"))
	for name, content := range map[string]string{config: text, filepath.Join(dir, "users"): `"postgres" ""` + "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the pooler runs as another user
		t.Fatal(err)
	}
	cmd := exec.Command(program, config)
	cmd.Dir = dir
	runAsPostgres(t, cmd)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	Start(t, "http://"+address, cmd)
	return func(url string) string { return strings.Replace(url, p.Host(), address, 1) }
}
