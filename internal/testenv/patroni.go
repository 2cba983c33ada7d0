package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
)

// Patroni is a PostgreSQL cluster of three nodes with streaming replication on the
// loopback address. Patroni fails it over with the help of etcd. Commits are
// synchronous: what was acknowledged survives a failover.
type Patroni struct {
	dir     string
	program string
	members []*patroniMember
	former  string // the primary that was last killed, paused or relieved
}

type patroniMember struct {
	name, dir  string
	port, rest int
	patroni    *Process
}

var patroniConfig = template.Must(template.New("patroni.yml").Parse(`scope: feeds
name: {{.Name}}
restapi: {listen: "127.0.0.1:{{.Rest}}", connect_address: "127.0.0.1:{{.Rest}}"}
etcd3: {hosts: "{{.Etcd}}"}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 3
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {max_connections: 200, wal_log_hints: "on"}
  initdb: [{encoding: UTF8}, {auth: trust}, "no-sync"]
postgresql:
  listen: "127.0.0.1:{{.Port}}"
  connect_address: "127.0.0.1:{{.Port}}"
  data_dir: {{.Dir}}/data
  bin_dir: {{.Bin}}
  pgpass: {{.Dir}}/pgpass
  pg_hba: ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
  authentication:
    superuser: {username: postgres}
    replication: {username: replicator}
  parameters: {unix_socket_directories: "{{.Dir}}", fsync: "off"}
`))

// StartPatroni starts the cluster, which stops with the test.
func StartPatroni(t testing.TB) *Patroni {
	t.Helper()
	initdb, err := filepath.EvalSymlinks(Program(t, "install PostgreSQL (Debian: apt-get install postgresql)", "initdb", "/usr/lib/postgresql/*/bin/initdb"))
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(initdb)
	p := &Patroni{program: Program(t, "install Patroni (Debian: apt-get install patroni)", "patroni")}
	if p.dir, err = os.MkdirTemp("", "proget-patroni-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.dir) })
	etcd := StartEtcd(t)
	for i := range 3 {
		m := &patroniMember{name: fmt.Sprintf("pg%d", i+1), port: FreePort(t), rest: FreePort(t)}
		m.dir = filepath.Join(p.dir, m.name)
		var config bytes.Buffer
		if err := patroniConfig.Execute(&config, map[string]any{"Name": m.name, "Rest": m.rest, "Etcd": etcd.Address, "Port": m.port, "Dir": m.dir, "Bin": bin}); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(m.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.dir, "patroni.yml"), config.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		p.members = append(p.members, m)
	}
	if os.Geteuid() == 0 {
		if out, err := exec.Command("chown", "-R", "postgres", p.dir).CombinedOutput(); err != nil {
			t.Fatalf("give %s to the user postgres: %v\n%s", p.dir, err, out)
		}
	}
	for _, m := range p.members {
		p.start(t, m)
	}
	p.await(t, "three members, of which one is the leader and one its synchronous standby", func(roles map[string]int) bool {
		return roles["leader"] == 1 && roles["sync_standby"] == 1 && roles["replica"]+roles["sync_standby"] == 2
	})
	return p
}

func (p *Patroni) start(t testing.TB, m *patroniMember) {
	t.Helper()
	cmd := exec.Command(p.program, filepath.Join(m.dir, "patroni.yml"))
	cmd.Dir = m.dir
	runAsPostgres(t, cmd)
	m.patroni = Start(t, fmt.Sprintf("http://127.0.0.1:%d", m.rest), cmd)
	t.Cleanup(func() { p.kill(m) }) // its server, too, which holds the log open
}

// Hosts returns the addresses of the members' servers.
func (p *Patroni) Hosts() []string {
	var hosts []string
	for _, m := range p.members {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", m.port))
	}
	return hosts
}

// PatroniURL returns the URL of a database with which clients look for the primary
// among several hosts.
func PatroniURL(hosts []string, database string) string {
	return "postgres://postgres@" + strings.Join(hosts, ",") + "/" + database + "?sslmode=disable&target_session_attrs=read-write&connect_timeout=2"
}

// roles returns the number of running members by role, and the leader's name.
func (p *Patroni) roles(ctx context.Context) (roles map[string]int, leader string) {
	roles = make(map[string]int)
	for _, m := range p.members {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/cluster", m.rest), nil)
		if err != nil {
			continue
		}
		resp, err := (&http.Client{Timeout: 2 * time.Second}).Do(req)
		if err != nil {
			continue
		}
		var cluster struct {
			Members []struct{ Name, Role, State string }
		}
		err = json.NewDecoder(resp.Body).Decode(&cluster)
		_ = resp.Body.Close()
		if err != nil || len(cluster.Members) == 0 {
			continue
		}
		for _, member := range cluster.Members {
			if member.State == "running" || member.State == "streaming" {
				roles[member.Role]++
				if member.Role == "leader" {
					leader = member.Name
				}
			}
		}
		return roles, leader
	}
	return roles, ""
}

func (p *Patroni) await(t testing.TB, what string, ok func(roles map[string]int) bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		roles, _ := p.roles(t.Context())
		if ok(roles) {
			return
		}
		if time.Now().After(deadline) {
			log := p.members[0].patroni.Log()
			t.Fatalf("Patroni does not come to %s; there are %v\n%s", what, roles, log[max(0, len(log)-4000):])
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// AwaitOtherPrimary waits until a member leads other than the primary that was last
// killed, paused or relieved.
func (p *Patroni) AwaitOtherPrimary(t testing.TB) {
	t.Helper()
	p.await(t, "another primary", func(map[string]int) bool {
		_, leader := p.roles(t.Context())
		return leader != "" && leader != p.former
	})
}

// leader returns the member that is the primary.
func (p *Patroni) leader(t testing.TB) *patroniMember {
	t.Helper()
	_, name := p.roles(t.Context())
	for _, m := range p.members {
		if m.name == name {
			return m
		}
	}
	t.Fatal("Patroni has no leader")
	return nil
}

// AwaitHealthy waits until there is a primary with a synchronous standby and a
// third member.
func (p *Patroni) AwaitHealthy(t testing.TB) {
	t.Helper()
	p.await(t, "full strength", func(roles map[string]int) bool {
		return roles["leader"] == 1 && roles["sync_standby"] == 1 && roles["replica"] == 1
	})
}

// KillPrimary ends the primary's server and its Patroni as a power cut would. The
// returned function starts them again.
func (p *Patroni) KillPrimary(t testing.TB) (restart func()) {
	t.Helper()
	m := p.leader(t)
	p.former = m.name
	p.kill(m)
	t.Logf("killed %s", m.name)
	return func() { p.start(t, m) }
}

// KillCommand returns a shell command that ends the current primary's server and its
// Patroni, for use outside the test's process.
func (p *Patroni) KillCommand(t testing.TB) string {
	t.Helper()
	m := p.leader(t)
	p.former = m.name
	text, err := os.ReadFile(filepath.Join(m.dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	server, _, _ := strings.Cut(string(text), "\n")
	return fmt.Sprintf("kill -9 %d %s", m.patroni.cmd.Process.Pid, server)
}

// FreezePrimary pauses every process of the primary's machine. The returned function
// resets the machine, as its watchdog finally would. If the processes continued
// instead, this Patroni would now and then take the leader's key back from its
// successor, whose commits would be lost; for that reason its manual asks for a
// watchdog.
func (p *Patroni) FreezePrimary(t testing.TB) (reset func()) {
	t.Helper()
	m := p.leader(t)
	p.former = m.name
	pause(append(m.processes(), m.patroni.cmd.Process.Pid))
	t.Logf("froze %s", m.name)
	return func() {
		p.kill(m)
		p.start(t, m)
	}
}

// SwitchOver makes the standby the primary in an orderly way.
func (p *Patroni) SwitchOver(t testing.TB) {
	t.Helper()
	m := p.leader(t)
	p.former = m.name
	body := strings.NewReader(fmt.Sprintf(`{"leader":%q}`, m.name))
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/switchover", m.rest), "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("switchover: %s", resp.Status)
	}
	t.Logf("switched over from %s", m.name)
}

// processes returns the ids of the server's processes: those that were started on its
// data folder, which may not have written their pid there yet, and their children.
func (m *patroniMember) processes() (pids []int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		text, err := os.ReadFile(line)
		if err != nil || !bytes.Contains(text, []byte("-D\x00"+filepath.Join(m.dir, "data")+"\x00")) {
			continue
		}
		dir := filepath.Dir(line)
		children, _ := os.ReadFile(filepath.Join(dir, "task", filepath.Base(dir), "children"))
		for _, word := range append(strings.Fields(string(children)), filepath.Base(dir)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// kill ends a member's processes.
func (p *Patroni) kill(m *patroniMember) {
	if m.patroni == nil {
		return
	}
	_ = m.patroni.cmd.Process.Kill()
	for _, pid := range m.processes() {
		if running, err := os.FindProcess(pid); err == nil {
			_ = running.Kill()
		}
	}
	<-m.patroni.done
}

// NewDatabase creates an empty database and returns its name.
func (p *Patroni) NewDatabase(t testing.TB) string {
	t.Helper()
	m := p.leader(t)
	return createDatabase(t, fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", m.port))
}
