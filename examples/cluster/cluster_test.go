package main_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// cluster is a running cluster: real processes behind a real load balancer.
type cluster struct {
	LoadBalancer  process
	Nodes         []process
	AdminPassword string
	APIKey        string

	data string
}

type process struct {
	Name, Role, URL string
	PID             int
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "proget-cluster-test-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"cluster", "server"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "github.com/proget-go/ha/examples/"+name)
		if out, err := cmd.CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // these tests wait far more than they compute
	code := m.Run()
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// start starts a cluster that ends with the test.
func start(t testing.TB, args ...string) *cluster {
	t.Helper()
	testenv.Program(t, "install HAProxy (Debian: apt-get install haproxy)", "haproxy", "/usr/sbin/haproxy")
	bin, err := build()
	require.NoError(t, err, bin)
	data := t.TempDir()
	cmd := exec.Command(filepath.Join(bin, "cluster"), append([]string{"-json", "-data", data, "-server", filepath.Join(bin, "server")}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	stderr := new(testenv.LogBuffer)
	cmd.Stderr, cmd.WaitDelay = stderr, 5*time.Second
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGABRT) }) // it says where
		assert.NoError(t, cmd.Wait())
		stuck.Stop()
		if t.Failed() {
			t.Logf("the cluster's messages:\n%s", stderr)
			showLogs(t, data)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	c := &cluster{data: data}
	require.NoError(t, json.Unmarshal(line, c), string(line))
	return c
}

func showLogs(t testing.TB, dir string) {
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, log := range logs {
		text, _ := os.ReadFile(log)
		t.Logf("%s:\n%s", filepath.Base(log), text[max(0, len(text)-3000):])
	}
}

func (c *cluster) role(role string) []process {
	var found []process
	for _, n := range c.Nodes {
		if n.Role == role {
			found = append(found, n)
		}
	}
	return found
}

// primary returns the indexing node that says it leads, among those given.
func primary(nodes []process) (process, bool) {
	client := &http.Client{Timeout: time.Second}
	for _, n := range nodes {
		resp, err := client.Get(n.URL + "/health/ready")
		if err != nil {
			continue
		}
		var answer struct{ Primary bool }
		err = json.NewDecoder(resp.Body).Decode(&answer)
		_ = resp.Body.Close()
		if err == nil && answer.Primary {
			return n, true
		}
	}
	return process{}, false
}

// onEachEngine runs a test on clusters over SQLite and PostgreSQL.
func onEachEngine(t *testing.T, test func(t *testing.T, c *cluster)) {
	t.Run("SQLite", func(t *testing.T) { test(t, start(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, start(t, "-db", testenv.StartPostgres(t).NewDatabase(t)))
	})
}

// TestRealClient: what the real client pushes through the load balancer, it
// restores through the load balancer and through each node, at once.
func TestRealClient(t *testing.T) {
	dotnet := testenv.FindDotnet(t)
	onEachEngine(t, func(t *testing.T, c *cluster) {
		dir := t.TempDir()
		dotnet.Run(dir, "new", "classlib", "-n", "Acme.Lib", "-o", "lib", "-f", "netcoreapp3.1")
		dotnet.Run(dir, "pack", "lib", "-c", "Release", "-o", "out", "-p:Version=1.2.3", "-p:IncludeSymbols=true", "-p:SymbolPackageFormat=snupkg")
		source := c.LoadBalancer.URL + "/nuget/nuget/v3/index.json"
		foreign := dotnet.ForeignPackage()
		for _, file := range []string{"out/Acme.Lib.1.2.3.nupkg", foreign} {
			dotnet.Run(dir, "nuget", "push", file, "-s", source, "-k", c.APIKey)
		}
		out, err := dotnet.Try(dir, "nuget", "push", foreign, "-s", source, "-k", c.APIKey)
		require.Error(t, err, "a second push of the same version")
		require.Contains(t, out, "409")
		out, err = dotnet.Try(dir, "nuget", "push", foreign, "-s", source, "-k", "wrong")
		require.Error(t, err)
		require.Contains(t, out, "401")

		requireSymbols(t, c, filepath.Join(dir, "out", "Acme.Lib.1.2.3.snupkg"))

		dotnet.Run(dir, "new", "console", "-n", "app", "-o", "app", "-f", "netcoreapp3.1", "--no-restore")
		project := filepath.Join(dir, "app", "app.csproj")
		text, err := os.ReadFile(project)
		require.NoError(t, err)
		reference := `<ItemGroup><PackageReference Include="Acme.Lib" Version="1.2.3" /></ItemGroup></Project>`
		require.NoError(t, os.WriteFile(project, []byte(strings.Replace(string(text), "</Project>", reference, 1)), 0o600))
		restore := func(from string) {
			config := `<configuration><packageSources><clear/><add key="feed" value="` + from + `"/></packageSources></configuration>`
			require.NoError(t, os.WriteFile(filepath.Join(dir, "app", "NuGet.Config"), []byte(config), 0o600))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "app", "obj")))
			dotnet.Run(filepath.Join(dir, "app"), "restore", "--no-cache", "--force")
			assets, err := os.ReadFile(filepath.Join(dir, "app", "obj", "project.assets.json"))
			require.NoError(t, err)
			require.Contains(t, string(assets), "Acme.Lib/1.2.3", "restored from %s", from)
		}
		for _, node := range append(c.role("web"), c.LoadBalancer) {
			restore(node.URL + "/nuget/nuget/v3/index.json")
		}
		older := c.LoadBalancer.URL + "/nuget/nuget/v2/" // the protocol's version 2
		restore(older)
		dotnet.Run(dir, "pack", "lib", "-c", "Release", "-o", "out", "-p:Version=1.2.4")
		dotnet.Run(dir, "nuget", "push", "out/Acme.Lib.1.2.4.nupkg", "-s", older, "-k", c.APIKey)
		dotnet.Run(dir, "nuget", "delete", "Acme.Lib", "1.2.4", "-s", older, "-k", c.APIKey, "--non-interactive")
		dotnet.Run(dir, "nuget", "delete", "Acme.Lib", "1.2.3", "-s", source, "-k", c.APIKey, "--non-interactive")
	})
}

// requireSymbols: the symbol package that the client has pushed beside its package
// is served as debuggers ask for it.
func requireSymbols(t *testing.T, c *cluster, snupkg string) {
	t.Helper()
	archive, err := zip.OpenReader(snupkg)
	require.NoError(t, err)
	defer archive.Close()
	pdb, err := fs.ReadFile(archive, "lib/netcoreapp3.1/Acme.Lib.pdb")
	require.NoError(t, err)
	header := bytes.Index(pdb, []byte("#Pdb\x00")) - 8 // the stream's offset, which is that of the id
	id := pdb[binary.LittleEndian.Uint32(pdb[header:]):][:16]
	key := fmt.Sprintf("%08X%04X%04X%XFFFFFFFF", binary.LittleEndian.Uint32(id), binary.LittleEndian.Uint16(id[4:]), binary.LittleEndian.Uint16(id[6:]), id[8:])
	resp, err := http.Get(c.LoadBalancer.URL + "/symbols/nuget/Acme.Lib.pdb/" + key + "/Acme.Lib.pdb")
	require.NoError(t, err)
	defer resp.Body.Close()
	served, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(served))
	require.Equal(t, pdb, served)
}

// TestOldClient: a client that speaks version 2 of NuGet's protocol only
// pushes, installs the newest version and a given one, and deletes.
//
// Chocolatey feeds are the same under another name, at the feed's own URL.
func TestOldClient(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, source := range []string{"/nuget/nuget/v2/", "/nuget/chocolatey/"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			testOldClient(t, c, c.LoadBalancer.URL+source)
		})
	}
}

func testOldClient(t *testing.T, c *cluster, source string) {
	dir := t.TempDir()
	run := func(wanted bool, args ...string) string {
		out, ok := testenv.OldNuGet(t, dir, args...)
		require.Equal(t, wanted, ok, "nuget %s: %s", args[0], out)
		return out
	}
	for _, version := range []string{"1.2.3", "1.10.0"} {
		nuspec := `<package><metadata><id>Acme.Lib</id><version>` + version + `</version><authors>Acme</authors><description>A library.</description></metadata><files><file src="readme.txt" target="lib"/></files></package>`
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Acme.Lib.nuspec"), []byte(nuspec), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "readme.txt"), []byte("read me"), 0o600))
		run(true, "pack", "Acme.Lib.nuspec")
		file := "Acme.Lib." + version + ".nupkg"
		run(true, "push", file, "-Source", source, "-ApiKey", c.APIKey)
		require.Contains(t, run(false, "push", file, "-Source", source, "-ApiKey", c.APIKey), "409")
	}
	require.Contains(t, run(true, "install", "Acme.Lib", "-Source", source, "-OutputDirectory", "newest"), "Acme.Lib 1.10.0")
	run(true, "install", "Acme.Lib", "-Version", "1.2.3", "-Source", source, "-OutputDirectory", "given")
	installed, err := os.ReadFile(filepath.Join(dir, "given", "Acme.Lib.1.2.3", "Acme.Lib.1.2.3.nupkg"))
	require.NoError(t, err)
	pushed, err := os.ReadFile(filepath.Join(dir, "Acme.Lib.1.2.3.nupkg"))
	require.NoError(t, err)
	require.Equal(t, pushed, installed, "byte for byte")
	run(true, "delete", "Acme.Lib", "1.10.0", "-Source", source, "-ApiKey", c.APIKey, "-NonInteractive")
	require.Contains(t, run(true, "install", "Acme.Lib", "-Source", source, "-OutputDirectory", "then"), "Acme.Lib 1.2.3")
}
