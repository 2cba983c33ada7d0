package main_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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
func start(t *testing.T, args ...string) *cluster {
	t.Helper()
	testenv.Program(t, "install HAProxy (Debian: apt-get install haproxy)", "haproxy", "/usr/sbin/haproxy")
	bin, err := build()
	require.NoError(t, err, bin)
	data := t.TempDir()
	cmd := exec.Command(filepath.Join(bin, "cluster"), append([]string{"-json", "-data", data, "-server", filepath.Join(bin, "server")}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		require.NoError(t, cmd.Wait())
		if t.Failed() {
			showLogs(t, data)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	c := &cluster{data: data}
	require.NoError(t, json.Unmarshal(line, c), string(line))
	return c
}

func showLogs(t *testing.T, dir string) {
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
		dotnet.Run(dir, "pack", "lib", "-c", "Release", "-o", "out", "-p:Version=1.2.3")
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

		dotnet.Run(dir, "new", "console", "-n", "app", "-o", "app", "-f", "netcoreapp3.1", "--no-restore")
		project := filepath.Join(dir, "app", "app.csproj")
		text, err := os.ReadFile(project)
		require.NoError(t, err)
		reference := `<ItemGroup><PackageReference Include="Acme.Lib" Version="1.2.3" /></ItemGroup></Project>`
		require.NoError(t, os.WriteFile(project, []byte(strings.Replace(string(text), "</Project>", reference, 1)), 0o600))
		for _, node := range append(c.role("web"), c.LoadBalancer) {
			config := `<configuration><packageSources><clear/><add key="feed" value="` + node.URL + `/nuget/nuget/v3/index.json"/></packageSources></configuration>`
			require.NoError(t, os.WriteFile(filepath.Join(dir, "app", "NuGet.Config"), []byte(config), 0o600))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "app", "obj")))
			dotnet.Run(filepath.Join(dir, "app"), "restore", "--no-cache", "--force")
			assets, err := os.ReadFile(filepath.Join(dir, "app", "obj", "project.assets.json"))
			require.NoError(t, err)
			require.Contains(t, string(assets), "Acme.Lib/1.2.3", "restored through %s", node.Name)
		}
		dotnet.Run(dir, "nuget", "delete", "Acme.Lib", "1.2.3", "-s", source, "-k", c.APIKey, "--non-interactive")
	})
}
