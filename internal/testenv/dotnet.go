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

// Dotnet runs the .NET SDK's command line. Each run has a new home, so that it does not
// see what another has cached.
type Dotnet struct {
	t   testing.TB
	env []string
	dir string // of the SDK
	bin string
}

// FindDotnet finds the SDK that scripts/install-test-deps installs.
func FindDotnet(t testing.TB) *Dotnet {
	t.Helper()
	dir := filepath.Join(cache(), "dotnet", "package")
	bin := filepath.Join(dir, "dotnet")
	if _, err := os.Stat(bin); err != nil {
		Missing(t, "the .NET SDK 3.1", "run make deps")
	}
	libs, _ := filepath.Glob(filepath.Join(cache(), "dotnet", "openssl", "usr", "lib", "*"))
	return &Dotnet{t: t, dir: dir, bin: bin, env: append(os.Environ(),
		"DOTNET_ROOT="+dir, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1", "DOTNET_CLI_TELEMETRY_OPTOUT=1",
		"DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1", "DOTNET_NOLOGO=1", "MSBUILDDISABLENODEREUSE=1",
		"LD_LIBRARY_PATH="+strings.Join(libs, ":"))}
}

// ForeignPackage returns the path of a .nupkg made by others, which is part of the SDK.
func (d *Dotnet) ForeignPackage() string {
	found, _ := filepath.Glob(filepath.Join(d.dir, "templates", "*", "microsoft.dotnet.wpf.projecttemplates.*.nupkg"))
	if len(found) == 0 {
		d.t.Fatalf("the SDK in %s carries no package", d.dir)
	}
	return found[0]
}

// Run runs a command in a folder with a new home and returns its output. It fails the
// test if the command fails.
func (d *Dotnet) Run(dir string, args ...string) string {
	d.t.Helper()
	out, err := d.Try(dir, args...)
	if err != nil {
		d.t.Fatalf("dotnet %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Try is like Run for commands that may fail.
func (d *Dotnet) Try(dir string, args ...string) (string, error) {
	d.t.Helper()
	home := d.t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.bin, args...)
	cmd.Dir, cmd.WaitDelay = dir, grace
	cmd.Env = append(d.env, "HOME="+home, "NUGET_PACKAGES="+filepath.Join(home, "packages"), "TMPDIR="+home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
