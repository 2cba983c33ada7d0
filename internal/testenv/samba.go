package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Samba is a file server whose share is mounted through smbnetfs. Both run in their own
// network namespace, since smbnetfs knows only port 445, which the machine may use.
type Samba struct {
	Folder string // the share, as clients mount it
	Data   string // the same folder on the server's disk

	dir     string
	network string // path of the network namespace
	server  *ambient
}

const installSamba = "apt-get install samba smbnetfs smbclient, and run the test as root"

// StartSamba starts a server and mounts its share. Both end with the test.
func StartSamba(t testing.TB) *Samba {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		Missing(t, "a Samba share", installSamba)
	}
	for _, name := range []string{"smbd", "smbpasswd", "smbnetfs", "nsenter", "unshare", "ip", "umount"} {
		Program(t, installSamba, name)
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		Missing(t, "/dev/fuse", "load the kernel's module fuse")
	}
	s := &Samba{dir: t.TempDir()}
	s.configure(t)
	s.isolate(t)
	s.Start(t)
	s.mount(t)
	return s
}

func (s *Samba) path(name string) string { return filepath.Join(s.dir, name) }

// configure writes the settings of the server and of the client.
func (s *Samba) configure(t testing.TB) {
	t.Helper()
	for _, dir := range []string{"private", "lock", "state", "cache", "pid", "rpc", "data", "mnt", "home/.smb"} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.Data, s.Folder = s.path("data"), s.path("mnt/127.0.0.1/packages")
	conf := `[global]
server role = standalone server
interfaces = lo
bind interfaces only = yes
smb ports = 445
disable netbios = yes
disable spoolss = yes
load printers = no
printcap name = /dev/null
private dir = DIR/private
lock directory = DIR/lock
state directory = DIR/state
cache directory = DIR/cache
pid directory = DIR/pid
ncalrpc dir = DIR/rpc
log file = DIR/log
passdb backend = tdbsam:DIR/private/passdb.tdb
strict sync = yes
[packages]
path = DIR/data
read only = no
`
	for name, text := range map[string]string{
		"smb.conf":                strings.ReplaceAll(conf, "DIR", s.dir),
		"home/.smb/smb.conf":      "[global]\nclient min protocol = SMB2\nname resolve order = host\n",
		"home/.smb/smbnetfs.conf": "include \"smbnetfs.auth\"\nsmb_query_browsers \"off\"\n",
		"home/.smb/smbnetfs.auth": "auth \"root\" \"secret\"\n",
	} {
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add := exec.Command("smbpasswd", "-c", s.path("smb.conf"), "-a", "-s", "root")
	add.Stdin = strings.NewReader("secret\nsecret\n")
	run(t, add)
}

func run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// isolate creates a network namespace with only the loopback interface. It lives as
// long as a process in it.
func (s *Samba) isolate(t testing.TB) {
	t.Helper()
	holder := startGroup(t, exec.Command("unshare", "--net", "sleep", "infinity"))
	s.network = fmt.Sprintf("/proc/%d/ns/net", holder.cmd.Process.Pid)
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	await(t, holder, "has no network of its own", func() bool {
		network, err := os.Readlink(s.network)
		return err == nil && network != own
	})
	run(t, s.within("ip", "link", "set", "lo", "up"))
}

// within returns a command that runs in the network namespace.
func (s *Samba) within(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + s.network, name}, args...)...)
}

// Start starts the server, also again after Stop, and waits until it answers.
func (s *Samba) Start(t testing.TB) {
	t.Helper()
	s.server = startGroup(t, s.within("smbd", "--foreground", "--no-process-group", "-s", s.path("smb.conf"), "-l", s.dir))
	await(t, s.server, "does not answer", func() bool {
		return s.within("smbclient", "-s", s.path("home/.smb/smb.conf"), "-U", "root%secret", "//127.0.0.1/packages", "-c", "ls").Run() == nil
	})
}

// Stop kills all processes of the server, whatever they were about to do.
func (s *Samba) Stop() { s.server.kill() }

func (s *Samba) mount(t testing.TB) {
	t.Helper()
	client := s.within("smbnetfs", s.path("mnt"), "-f", "-o", "config="+s.path("home/.smb/smbnetfs.conf"))
	client.Env = append(os.Environ(), "HOME="+s.path("home"))
	p := startGroup(t, client)
	t.Cleanup(func() { _ = exec.Command("umount", "-l", s.path("mnt")).Run() })
	await(t, p, "mounts nothing", func() bool {
		_, err := os.ReadDir(s.Folder)
		return err == nil
	})
}

// ambient is a process with its children.
type ambient struct {
	cmd   *exec.Cmd
	log   *LogBuffer
	done  chan struct{}
	ended atomic.Bool
}

// startGroup starts a process, and kills it and its children when the test ends.
func startGroup(t testing.TB, cmd *exec.Cmd) *ambient {
	t.Helper()
	p := &ambient{cmd: cmd, log: new(LogBuffer), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = p.log, p.log, grace
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		p.ended.Store(true)
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *ambient) kill() {
	killGroup(p.cmd)
	<-p.done
}

// await waits until ok returns true, or fails with the process's output.
func await(t testing.TB, p *ambient, otherwise string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if p.ended.Load() || time.Now().After(deadline) {
			t.Fatal(errors.New(p.cmd.String() + " " + otherwise + ":\n" + p.log.String()))
		}
	}
}
