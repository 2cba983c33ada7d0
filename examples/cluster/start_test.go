package main_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to make a database
)

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := build()
	require.NoError(t, err, bin)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "cluster"), append([]string{"-data", t.TempDir(), "-server", filepath.Join(bin, "server")}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// TestCannotStart: what is wrong is said in one line, and nothing is left
// running.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	used := filepath.Join(t.TempDir(), "used.db")
	db, err := sql.Open("sqlite", used)
	require.NoError(t, err)
	_, err = db.Exec("CREATE TABLE schema_version (version INTEGER)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"unknown flag":      {[]string{"-colour"}, 2, "-colour"},
		"no web node":       {[]string{"-web", "0"}, 2, "web node"},
		"faults, too small": {[]string{"-faults"}, 2, "-faults needs two web nodes"},
		"faults, injected":  {[]string{"-inject", "failover"}, 2, "name=command"},
		"faults, as JSON":   {[]string{"-web", "2", "-index", "2", "-faults", "-json"}, 2, "-json cannot be combined"},
		"no such fault":     {[]string{"-web", "2", "-index", "2", "-faults", "-server", "", "-only", "typo"}, 1, `-only "typo": there is no such fault`},
		"no fault is left":  {[]string{"-web", "2", "-index", "2", "-faults", "-only", "off from the elector"}, 1, "give -elect a URL with a host and a port"},
		"used database":     {[]string{"-web", "2", "-index", "2", "-faults", "-db", "sqlite:" + used}, 1, "-db: this database has been used"},
		"used folder":       {[]string{"-web", "2", "-index", "2", "-faults", "-storage", "file://" + filepath.Dir(used)}, 1, "-storage: this folder is not empty"},
		"listen":            {[]string{"-listen", "here"}, 2, "-listen"},
		"port in use":       {[]string{"-listen", taken.Addr().String()}, 1, "-listen"},
		"database":          {[]string{"-db", "mysql://x"}, 1, "web-1 ended at its start: server: -db: use sqlite:FILE"},
		"node cannot start": {[]string{"-db", "sqlite:/none/x.db"}, 1, "/none/x.db"},
		"no such binary":    {[]string{"-server", "/none/server"}, 1, "/none/server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := command(t, append([]string{"-web", "1", "-index", "0"}, tc.args...)...).CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			require.Equal(t, tc.code, exit.ExitCode(), "%s", out)
			require.Regexp(t, `^cluster: .*\n$`, string(out))
			require.Contains(t, string(out), tc.want)
		})
	}
}

// TestNothingOutlivesTheCluster: its processes end with it, however it ends;
// without HAProxy a small proxy does for an evaluation.
func TestNothingOutlivesTheCluster(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, cmd *exec.Cmd){
		"interrupted": func(t *testing.T, cmd *exec.Cmd) {
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			require.NoError(t, cmd.Wait())
		},
		"killed": killCluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, "-web", "2", "-index", "1", "-json")
			cmd.Env = append(os.Environ(), "PATH=/none")
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadBytes('\n')
			require.NoError(t, err)
			var c cluster
			require.NoError(t, json.Unmarshal(line, &c))
			require.Equal(t, cmd.Process.Pid, c.LoadBalancer.PID)
			all := append(c.Nodes, c.LoadBalancer)
			for _, p := range all {
				require.True(t, answers(p), p.Name)
			}
			end(t, cmd)
			for _, p := range all {
				require.Eventually(t, func() bool { return !answers(p) }, time.Minute, 20*time.Millisecond, p.Name)
			}
		})
	}
}

func killCluster(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends the processes of one that was killed")
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}

func answers(p process) bool {
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(p.URL + "/health/live")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
