package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// OldNuGet runs a command of nuget.exe 2, which knows only version 2 of the protocol,
// in a folder with a new home. It returns the output and whether the command succeeded.
func OldNuGet(t testing.TB, dir string, args ...string) (string, bool) {
	t.Helper()
	const install = "run make deps"
	mono := Program(t, install, "mono")
	program := Program(t, install, "/usr/lib/nuget/NuGet.exe")
	home := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, mono, append([]string{program}, args...)...)
	cmd.Dir, cmd.WaitDelay = dir, grace
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, "config"), "TMPDIR="+home, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("nuget %s: %v", strings.Join(args, " "), err)
	}
	return string(out), err == nil
}
