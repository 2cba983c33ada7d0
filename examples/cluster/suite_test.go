package main_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/examples/cluster/internal/variant"
	"github.com/proget-go/ha/internal/testenv"
)

var faultRounds = flag.String("fault-rounds", "1", "how often TestFaults has each fault happen")

// faults runs the suite and returns what it printed.
func faults(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	testenv.Program(t, "install HAProxy (Debian: apt-get install haproxy)", "haproxy", "/usr/sbin/haproxy")
	bin, err := build()
	require.NoError(t, err, bin)
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(bin, "cluster"), append([]string{"-faults", "-data", dir}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &text, &text, 5*time.Second
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
	page, missing := os.ReadFile(filepath.Join(runs(dir)[0], "faults.html"))
	require.NoError(t, missing, text.String())
	require.Contains(t, string(page), "<polyline")
	return text.String(), err
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

// TestSuiteCatches: versions of the server that break a promise are caught.
func TestSuiteCatches(t *testing.T) {
	etcd := "etcd://" + testenv.StartEtcd(t).Address + "/catches"
	for name, tc := range map[string]struct {
		args []string
		said []string // one of these
	}{
		"fence off":                         {[]string{"-only", "elector forgets", "-elect", etcd}, []string{"Two terms are interleaved"}},
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
