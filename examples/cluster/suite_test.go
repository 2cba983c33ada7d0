package main_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/examples/cluster/internal/variant"
	"github.com/proget-go/ha/internal/testenv"
)

var faultRounds = flag.String("fault-rounds", "1", "how often TestFaults has each fault happen")

// suite is a run of the suite that has not begun.
func suite(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	testenv.Program(t, "install HAProxy (Debian: apt-get install haproxy)", "haproxy", "/usr/sbin/haproxy")
	bin, err := build()
	require.NoError(t, err, bin)
	cmd := exec.Command(filepath.Join(bin, "cluster"), append([]string{"-faults", "-data", dir}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// server is the server as it is, which spares building those that faults need.
func server(t *testing.T) string {
	t.Helper()
	bin, err := build()
	require.NoError(t, err, bin)
	return filepath.Join(bin, "server")
}

// faults runs the suite and returns what it printed.
func faults(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	return faultsIn(t, t.TempDir(), args...)
}

func faultsIn(t *testing.T, dir string, args ...string) (out string, err error) {
	t.Helper()
	cmd := suite(t, dir, args...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err = cmd.Run()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", text.Bytes())
			for _, of := range runs(dir) {
				showLogs(t, of)
			}
		}
	})
	require.Len(t, runs(dir), 1, text.String())
	recorded(t, runs(dir)[0])
	return text.String(), err
}

// recorded checks that a run has left its page and its history, and returns them.
func recorded(t *testing.T, run string) (page, operations string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(run, "faults.html"))
	require.NoError(t, err)
	require.Contains(t, string(text), "<polyline")
	lines, err := os.ReadFile(filepath.Join(run, "history.jsonl"))
	require.NoError(t, err)
	first, rest, _ := strings.Cut(string(lines), "\n")
	var head struct{ Began time.Time }
	require.NoError(t, json.Unmarshal([]byte(first), &head))
	require.WithinDuration(t, time.Now(), head.Began, time.Hour)
	require.Contains(t, rest, `"by":"web-1"`, "the load balancer says which node answered")
	return string(text), rest
}

// runs are the folders of runs of the suite.
func runs(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "faults-*")) // the pattern is valid
	return found
}

// TestFaults has everything fail that can fail here, each once, under load. The
// cluster keeps its promises.
func TestFaults(t *testing.T) {
	etcd := testenv.StartEtcd(t)
	out, err := faults(t, "-db", testenv.StartPostgres(t).NewDatabase(t), "-elect", "etcd://"+etcd.Address+"/faults", "-rounds", *faultRounds)
	t.Logf("%s", out)
	require.NoError(t, err)
}

// TestFaultsOfCluster has the primary of a PostgreSQL cluster killed, and the
// network to all its servers fail. Feeds keep their promises.
func TestFaultsOfCluster(t *testing.T) {
	patroni := testenv.StartPatroni(t)
	out, err := faults(t, "-db", testenv.PatroniURL(patroni.Hosts(), patroni.NewDatabase(t)), "-server", server(t),
		"-inject", "database's primary killed="+patroni.KillCommand(t), "-only", "database's primary killed", "-only", "database cut off")
	t.Logf("%s", out)
	require.NoError(t, err)
	patroni.AwaitOtherPrimary(t)
	require.NotContains(t, out, "not here", "networks to several servers can fail")
}

// TestFaultCannotBeMade: what cannot be made is told of with its name, the others
// happen, and all evidence is there when the run has ended.
func TestFaultCannotBeMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := faultsIn(t, dir, "-server", server(t), "-clients", "4", "-only", "out of order", "-only", "works",
		"-inject", "out of order=echo no such thing; exit 3", "-inject", "works=true")
	require.Error(t, err, out)
	require.Contains(t, out, `VIOLATION: "out of order": echo no such thing; exit 3: exit status 3: no such thing.`)
	require.Regexp(t, `(?m)^works +\d`, out)
	require.Contains(t, out, "NOT CHECKED: Whether storage is left clean")
	var stored int
	require.NoError(t, filepath.WalkDir(runs(dir)[0], func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(path, "blobs") {
			stored++
		}
		return err
	}))
	require.Positive(t, stored, "what is stored can be looked at")
}

// TestInterruptedFaults: who interrupts a run gets to know what happened until then.
func TestInterruptedFaults(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this system cannot interrupt a process")
	}
	t.Parallel()
	dir := t.TempDir()
	cmd := suite(t, dir, "-server", server(t), "-clients", "4", "-only", "load balancer cut off", "-rounds", "100")
	stderr := new(testenv.LogBuffer)
	cmd.Stderr = stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if t.Failed() {
			_ = cmd.Process.Signal(syscall.SIGQUIT) // what it waits for
			_ = cmd.Wait()
			t.Logf("%s", stderr)
		}
	})
	require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "[2/100]") }, 2*time.Minute, 20*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Contains(t, stderr.String(), "the run is incomplete: 1 of 100 faults happened")
	page, _ := recorded(t, runs(dir)[0])
	require.Contains(t, page, "Incomplete: 1 of 100 faults")
	require.NotContains(t, page, "Every promise was kept")
}

// TestSuiteCatches: versions of the server that break a promise are caught.
func TestSuiteCatches(t *testing.T) {
	apart := []string{"-only", "elector forgets", "-rounds", "2", "-clients", "4", "-elect", "etcd://" + testenv.StartEtcd(t).Address + "/catches", "-db", testenv.StartPostgres(t).NewDatabase(t)}
	for name, tc := range map[string]struct {
		args []string
		said []string // one of these
	}{
		"fence off":                         {apart, []string{"Two terms are interleaved"}},
		"garbage is kept":                   {[]string{"-only", "web node killed"}, []string{"after the sweep, there are"}},
		"log row outside the transaction":   {[]string{"-only", "web node killed"}, []string{"fit no order of its operations"}},
		"acknowledged before it is on disk": {[]string{"-only", "web node killed", "-rounds", "3"}, []string{"although nothing is wrong any more", "database and storage do not agree"}},
		"cache not invalidated":             {[]string{"-only", "web node killed"}, []string{"fit no order of its operations"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := filepath.Join(t.TempDir(), "server")
			require.NoError(t, variant.Build(t.Context(), server, slices.Concat(variant.Traced, variant.Broken[name])...))
			out, err := faults(t, append(tc.args, "-server", server)...)
			require.Error(t, err, out)
			require.True(t, slices.ContainsFunc(tc.said, func(said string) bool { return strings.Contains(out, said) }), out)
			require.Contains(t, out, "the cluster broke a promise")
		})
	}
}
