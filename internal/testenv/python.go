package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Python runs the clients of a PyPI feed, with their own home and without this
// machine's settings.
type Python struct {
	Commands map[string][]string // commands of python, twine and each of Pips
	Pips     []string            // "pip" is python's; "pip in PATH" is present if that is another

	t    testing.TB
	env  []string
	home string
}

const installPython = "install them (Debian: apt-get install twine python3-pip python3-setuptools python3-wheel)"

// FindPython finds the clients that scripts/install-test-deps installs, for the feed at
// a URL, with a key for uploads.
func FindPython(t testing.TB, feed, key string) *Python {
	t.Helper()
	python := Program(t, installPython, "/usr/bin/python3", "python3")
	p := &Python{t: t, home: t.TempDir(), Pips: []string{"pip"}, Commands: map[string][]string{
		"python": {python}, "pip": {python, "-m", "pip"}, "twine": {Program(t, installPython, "twine")},
	}}
	for _, line := range os.Environ() {
		name, _, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, "PIP_") && !strings.HasPrefix(name, "TWINE_") && !strings.HasPrefix(name, "PYTHON") {
			p.env = append(p.env, line)
		}
	}
	p.env = append(p.env, "HOME="+p.home, "XDG_CACHE_HOME="+filepath.Join(p.home, "cache"), "XDG_CONFIG_HOME="+filepath.Join(p.home, "config"), "NO_COLOR=1", "COLUMNS=500",
		"PIP_CONFIG_FILE="+os.DevNull, "PIP_INDEX_URL="+feed+"/simple", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1", "PIP_NO_CACHE_DIR=1", "PIP_ROOT_USER_ACTION=ignore",
		"TWINE_REPOSITORY_URL="+feed+"/legacy/", "TWINE_USERNAME=__token__", "TWINE_PASSWORD="+key, "TWINE_NON_INTERACTIVE=1", "PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring")
	if out, err := p.Try(p.home, "python", "-c", "import setuptools, wheel, pip"); err != nil {
		Missing(t, "Python with pip, setuptools and wheel ("+strings.TrimSpace(out)+")", installPython)
	}
	if other, err := exec.LookPath("pip"); err == nil {
		p.Commands["pip in PATH"] = []string{other}
		if p.Run(p.home, "pip in PATH", "--version") != p.Run(p.home, "pip", "--version") {
			p.Pips = append(p.Pips, "pip in PATH")
		}
	}
	return p
}

// Folder creates a folder with files, given as pairs of names and contents.
func (p *Python) Folder(files ...string) string {
	p.t.Helper()
	dir, err := os.MkdirTemp(p.home, "project-")
	for i := 0; i < len(files) && err == nil; i += 2 {
		err = os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// Build builds a source distribution and a wheel of a module, with additional arguments
// of setup(), and returns their paths.
func (p *Python) Build(name, version, module string, setup ...string) (sdist, wheel string) {
	p.t.Helper()
	arguments := append([]string{"name='" + name + "'", "version='" + version + "'", "py_modules=['" + module + "']", "description='A module for tests.'"}, setup...)
	dir := p.Folder("setup.py", "from setuptools import setup\nsetup("+strings.Join(arguments, ", ")+")\n", module+".py", "version = '"+version+"'\n")
	p.Run(dir, "python", "setup.py", "--quiet", "sdist", "bdist_wheel")
	files, _ := filepath.Glob(filepath.Join(dir, "dist", "*")) // the pattern is valid
	slices.Sort(files)
	for _, file := range files {
		if strings.HasSuffix(file, ".whl") {
			wheel = file
		} else {
			sdist = file
		}
	}
	if len(files) != 2 || sdist == "" || wheel == "" {
		p.t.Fatalf("setup.py has built %v", files)
	}
	return sdist, wheel
}

// Run runs a client's command in a folder and returns its output. It fails the
// test if the command fails.
func (p *Python) Run(dir, client string, args ...string) string {
	p.t.Helper()
	out, err := p.Try(dir, client, args...)
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s", client, strings.Join(args, " "), err, out)
	}
	return out
}

// Try is like Run for commands that may fail.
func (p *Python) Try(dir, client string, args ...string) (string, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	command := slices.Concat(p.Commands[client], args)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, p.env, grace
	out, err := cmd.CombinedOutput()
	return string(out), err
}
