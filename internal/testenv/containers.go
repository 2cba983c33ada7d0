package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Containers runs clients of a registry, each with its own home and store.
type Containers struct {
	Registry string // host and port
	Folder   string // working folder of the clients

	t        testing.TB
	env      []string
	password string
	user     string
	programs map[string][]string
}

const installContainers = "run make deps as root"

// FindContainers finds the clients that scripts/install-test-deps installs, for the
// registry at a URL. It starts Docker's daemon and stops it when the test ends.
func FindContainers(t testing.TB, registry, user, password string) *Containers {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		Missing(t, "Docker's daemon", installContainers)
	}
	dir, err := os.MkdirTemp("", "oci") // short, for the daemon's socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &Containers{t: t, Folder: dir, user: user, password: password, programs: make(map[string][]string)}
	_, c.Registry, _ = strings.Cut(registry, "://")
	c.Write("policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	c.Write("storage.conf", fmt.Sprintf("[storage]\ndriver=\"vfs\"\ngraphroot=%q\nrunroot=%q\n", filepath.Join(dir, "graph"), filepath.Join(dir, "run")))
	c.Write("auth.json", "{}")
	c.env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "DOCKER_CONFIG="+filepath.Join(dir, "docker"), "REGISTRY_AUTH_FILE="+filepath.Join(dir, "auth.json"),
		"CONTAINERS_STORAGE_CONF="+filepath.Join(dir, "storage.conf"), "BUILDAH_ISOLATION=chroot", "DOCKER_BUILDKIT=0", "COSIGN_PASSWORD=x",
		"HELM_CACHE_HOME="+filepath.Join(dir, "helm"), "HELM_CONFIG_HOME="+filepath.Join(dir, "helm"), "HELM_DATA_HOME="+filepath.Join(dir, "helm"))
	bin := filepath.Join(cache(), "bin")
	for _, name := range []string{"conformance", "crane", "oras", "helm", "cosign"} {
		c.programs[name] = []string{Program(t, installContainers, filepath.Join(bin, name))}
	}
	for _, name := range []string{"skopeo", "buildah", "podman"} {
		c.programs[name] = []string{Program(t, installContainers, name)}
	}
	c.programs["podman"] = append(c.programs["podman"], "--cgroup-manager=cgroupfs", "--events-backend=none")
	c.programs["skopeo"] = append(c.programs["skopeo"], "--policy", filepath.Join(dir, "policy.json"))
	c.startDocker()
	return c
}

func (c *Containers) startDocker() {
	c.t.Helper()
	daemon := Program(c.t, installContainers, "dockerd", "/usr/sbin/dockerd")
	path := func(name string) string { return filepath.Join(c.Folder, name) }
	at := "unix://" + path("d.sock")
	p := Start(c.t, at, exec.Command(daemon, "-H", at, "--data-root", path("root"), "--exec-root", path("exec"), "--pidfile", path("pid"),
		"--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"))
	c.t.Cleanup(func() { // an orderly stop, so that the processes it has started end, too
		p.Signal(c.t, os.Interrupt)
		p.Wait(c.t)
	})
	c.programs["docker"] = []string{Program(c.t, installContainers, "docker"), "-H", at}
}

// Write writes a file into the folder and returns its path.
func (c *Containers) Write(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.Folder, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return path
}

// Run runs a client's command and returns its output. It fails the test if the
// command fails.
func (c *Containers) Run(client string, args ...string) string {
	c.t.Helper()
	out, err := c.Try(client, args...)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", client, strings.Join(args, " "), err, out)
	}
	return out
}

// Try is like Run for commands that may fail. A command that reads a password gets the
// registry's.
func (c *Containers) Try(client string, args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	command := append(c.programs[client][:len(c.programs[client]):len(c.programs[client])], args...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay, cmd.Stdin = c.Folder, c.env, grace, strings.NewReader(c.password+"\n")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Conform runs OCI's conformance program on two repositories and returns its summary.
// It skips only what the specification leaves open.
func (c *Containers) Conform(one, two string) (summary string, err error) {
	c.t.Helper()
	env := c.env
	defer func() { c.env = env }()
	c.env = append(env[:len(env):len(env)], "OCI_REGISTRY="+c.Registry, "OCI_TLS=disabled", "OCI_REPO1="+one, "OCI_REPO2="+two, "OCI_VERSION=1.1",
		"OCI_USERNAME="+c.user, "OCI_PASSWORD="+c.password, "OCI_RESULTS_DIR="+filepath.Join(c.Folder, "results"),
		"OCI_API_BLOBS_DIGEST_HEADER=true", "OCI_API_MANIFESTS_DIGEST_HEADER=true", "OCI_API_BLOBS_UPLOAD_CANCEL=true", "OCI_API_MANIFESTS_TAG_PARAM=true")
	out, err := c.Try("conformance")
	_, summary, _ = strings.Cut(out, "OCI Conformance Result")
	if failures := failed(out); failures != "" {
		summary = failures + summary
	}
	return summary, err
}

// failed returns the lines that name a failure.
func failed(out string) string {
	var b bytes.Buffer
	for line := range strings.Lines(out) {
		if strings.HasSuffix(strings.TrimSpace(line), "FAIL") {
			b.WriteString(line)
		}
	}
	return b.String()
}
