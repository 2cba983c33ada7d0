package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

const (
	apiKey   = "key-for-tests"
	key      = "00112233445566778899aabbccddeeff"
	waitLong = 30 * time.Second
	waitStep = 20 * time.Millisecond
)

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "proget-server-test-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "server"), ".").CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// command is the server with flags, in an environment that sets none of them.
func command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := build()
	require.NoError(t, err, dir)
	cmd := exec.Command(filepath.Join(dir, "server"), args...)
	cmd.Dir = t.TempDir()
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PROGET_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "PROGET_API_KEY="+apiKey, "PROGET_ADMIN_PASSWORD=password")
	return cmd
}

// start starts a server, on embedded defaults if no flag says otherwise, which
// ends with the test.
func start(t testing.TB, args ...string) *testenv.Process {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := testenv.Start(t, "http://"+address, command(t, append([]string{"-listen", address}, args...)...))
	if !assert.Eventually(t, func() bool { return status(p.URL+"/health/ready") == http.StatusOK }, waitLong, waitStep) {
		t.Fatalf("the server does not become ready:\n%s", p.Log())
	}
	return p
}

// status is that of an answer, or 0 if there is none.
func status(url string) int {
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// TestFirstStart: secrets are generated, shown once and never again.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	run := func() string {
		address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
		cmd := command(t, "-listen", address, "-data", data, "-drain", "0s")
		cmd.Env = append(cmd.Env, "PROGET_API_KEY=", "PROGET_ADMIN_PASSWORD=")
		p := testenv.Start(t, "http://"+address, cmd)
		require.Eventually(t, func() bool { return status(p.URL+"/feeds/nuget") == http.StatusOK }, waitLong, waitStep)
		p.Signal(t, syscall.SIGTERM)
		require.Zero(t, p.Wait(t), p.Log())
		return p.Log()
	}
	first := run()
	require.Contains(t, first, "Password")
	require.Contains(t, first, "API key")
	require.Contains(t, first, data)
	second := run()
	require.NotContains(t, second, "Password")
	require.NotContains(t, second, "API key")
}

// TestStopWhileStarting: a server that still waits for its database ends at once.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and answers nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := testenv.Start(t, "http://"+address, command(t, "-listen", address, "-data", t.TempDir(), "-encryption-key", key, "-db", "postgres://user@"+silent.Addr().String()+"/x?sslmode=disable"))
	require.Eventually(t, func() bool { return strings.Contains(p.Log(), "waiting for it") }, waitLong, waitStep)
	p.Signal(t, syscall.SIGTERM)
	p.Wait(t)
	require.Contains(t, p.Log(), "address="+silent.Addr().String())
	require.NotRegexp(t, "(?m)^server: ", p.Log(), "it did not come to an end by itself")
}

// TestInterruptedStart: a signal ends a start that has come further, in order.
func TestInterruptedStart(t *testing.T) {
	t.Parallel()
	sleep, err := exec.LookPath("sleep") // no election plugin: it never says that it serves
	if err != nil {
		t.Skip("there is no sleep")
	}
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := testenv.Start(t, "http://"+address, command(t, "-listen", address, "-data", t.TempDir(), "-elect", "plugin:"+sleep+" 1000"))
	require.Eventually(t, func() bool { return strings.Contains(p.Log(), "Election") }, waitLong, waitStep)
	p.Signal(t, os.Interrupt)
	require.Equal(t, 1, p.Wait(t))
	require.Contains(t, p.Log(), "stopped while starting: interrupt signal received")
}

// TestLostKey: a server does not make a new key for a database that has one,
// and says what to do.
func TestLostKey(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, "-data", data, "-drain", "0s")
	p.Signal(t, syscall.SIGTERM)
	require.Zero(t, p.Wait(t), p.Log())
	path := filepath.Join(data, "encryption.key")
	lost, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	out, err := command(t, "-data", data, "-listen", "127.0.0.1:0").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), path)
	require.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, lost, 0o600))
	again := start(t, "-data", data)
	require.Contains(t, again.Log(), "no effect", "the given password and key are not those of this database")
}

// TestUpgradeFirst: a database that was made in advance can be served.
func TestUpgradeFirst(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "new")
	out, err := command(t, "upgradedb", "-data", data).CombinedOutput()
	require.NoError(t, err, string(out))
	start(t, "-data", data)
}

// TestBackup: what was pushed before a backup is in it.
func TestBackup(t *testing.T) {
	t.Parallel()
	data, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy.db")
	p := start(t, "-data", data)
	require.Equal(t, http.StatusCreated, push(t, p.URL, testenv.Nupkg(t, "Acme.Lib", "1.0.0")))
	out, err := command(t, "backup", copied, "-data", data).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), copied)
	again := start(t, "-data", data, "-db", "sqlite:"+copied, "-node", "again")
	require.Equal(t, http.StatusOK, status(again.URL+"/nuget/nuget/v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg"))

	out, err = command(t, "backup", copied, "-data", data).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "already")
	for _, args := range [][]string{{"backup"}, {"backup", "f", "-db", "postgres://host/db", "-encryption-key", key}, {"restore"}, {"restore", "f", "-db", "postgres://host/db", "-encryption-key", key}} {
		cmd := command(t, args...)
		require.Error(t, cmd.Run())
		require.Equal(t, 2, cmd.ProcessState.ExitCode())
	}
}

// TestStorageNotMounted: the folder of a storage that has been in use is not made
// anew, at the first start it is.
func TestStorageNotMounted(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	folder := filepath.Join(data, "packages")
	p := start(t, "-data", data, "-drain", "0s")
	p.Signal(t, syscall.SIGTERM)
	require.Zero(t, p.Wait(t), p.Log())
	require.NoError(t, os.Rename(folder, folder+".away"))
	for _, args := range [][]string{{"-listen", "127.0.0.1:0"}, {"fsck"}} {
		out, err := command(t, append(args, "-data", data)...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), folder)
		require.NoDirExists(t, folder)
	}
	require.NoError(t, os.Rename(folder+".away", folder))
	start(t, "-data", data)
}

// TestRestore: a backup takes the place of the database of servers that were
// killed, whose log would be replayed onto it; not while one of them runs.
func TestRestore(t *testing.T) {
	t.Parallel()
	data, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy.db")
	path := filepath.Join(data, "proget.db")
	restore := func() (string, error) {
		out, err := command(t, "restore", copied, "-data", data).CombinedOutput()
		return string(out), err
	}
	has := func(p *testenv.Process, version string) int {
		return status(p.URL + "/nuget/nuget/v3/flatcontainer/acme.lib/" + version + "/acme.lib." + version + ".nupkg")
	}
	p := start(t, "-data", data)
	require.Equal(t, http.StatusCreated, push(t, p.URL, testenv.Nupkg(t, "Acme.Lib", "1.0.0")))
	out, err := command(t, "backup", copied, "-data", data).CombinedOutput()
	require.NoError(t, err, string(out))
	for i := range 20 {
		require.Equal(t, http.StatusCreated, push(t, p.URL, testenv.Nupkg(t, "Acme.Lib", fmt.Sprintf("2.0.%d", i))))
	}
	said, err := restore()
	require.Error(t, err)
	require.Contains(t, said, "in use")
	require.Equal(t, http.StatusOK, has(p, "2.0.19"))
	p.Signal(t, os.Kill)
	p.Wait(t)
	require.FileExists(t, path+"-wal")

	said, err = restore()
	require.NoError(t, err, said)
	require.NoFileExists(t, path+"-wal")
	again := start(t, "-data", data)
	require.Equal(t, http.StatusOK, has(again, "1.0.0"))
	require.Equal(t, http.StatusNotFound, has(again, "2.0.0"))
	kept, err := filepath.Glob(path + ".before-restore-*")
	require.NoError(t, err)
	require.Len(t, kept, 2, "the former database and its log")
	data = filepath.Join(t.TempDir(), "new", "machine")
	said, err = restore()
	require.NoError(t, err, said)
	require.FileExists(t, filepath.Join(data, "proget.db"))
	former := start(t, "-data", filepath.Dir(path), "-db", "sqlite:"+kept[0], "-node", "former")
	require.Equal(t, http.StatusOK, has(former, "2.0.19"), "what was committed last lies in the log")
}

// TestWrongUse: each wrong value gets one line and exit code 2.
func TestWrongUse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args, env []string
		want      string
	}{
		"unknown flag":      {args: []string{"-colour", "red"}, want: "colour"},
		"unknown command":   {args: []string{"serve"}, want: "upgradedb"},
		"word at the end":   {args: []string{"-node", "a", "b"}, want: `"b"`},
		"roles":             {args: []string{"-roles", "web,cook"}, want: "web,index"},
		"two wrong":         {args: []string{"-roles", "cook", "-listen", "here"}, want: "-roles"},
		"listen":            {args: []string{"-listen", "here"}, want: "localhost:8624"},
		"port":              {args: []string{"-listen", ":99999"}, want: "localhost:8624"},
		"negative time":     {args: []string{"-drain", "-1s"}, want: "-drain"},
		"postgres URL":      {args: []string{"-db", "postgres://a:secret@:x/d", "-encryption-key", key}, want: "-db"},
		"sqlserver URL":     {args: []string{"-db", "sqlserver://a:secret@:x?database=d", "-encryption-key", key}, want: "-db"},
		"no SQLite file":    {args: []string{"-db", "sqlite:"}, want: "-db"},
		"database":          {args: []string{"-db", "mysql://x"}, want: "postgres://"},
		"key missing":       {args: []string{"-db", "postgres://localhost/x"}, want: "-encryption-key"},
		"key short":         {args: []string{"-encryption-key", "abc"}, want: "-encryption-key"},
		"storage":           {args: []string{"-storage", "/srv"}, want: "file:///"},
		"relative storage":  {args: []string{"-storage", "file:packages"}, want: "file:///"},
		"unknown storage":   {args: []string{"-storage", "ftp://host"}, want: "file:///"},
		"base URL":          {args: []string{"-base-url", "feeds.example"}, want: "https"},
		"size":              {args: []string{"-max-upload", "plenty"}, want: "500MB"},
		"no size":           {args: []string{"-max-upload", "0"}, want: "500MB"},
		"huge size":         {args: []string{"-max-upload", "999999999T"}, want: "500MB"},
		"hosts to fetch":    {args: []string{"-fetch-hosts", "a.example, https://b.example"}, want: "-fetch-hosts"},
		"election":          {args: []string{"-elect", "dice"}, want: "etcd://"},
		"etcd":              {args: []string{"-elect", "etcd://me:secret@here/x"}, want: "HOST:2379"},
		"etcd's prefix":     {env: []string{"PROGET_ELECT=etcd://me:secret@here:2379"}, want: "prefix"},
		"plugin":            {args: []string{"-elect", "plugin:"}, want: "program"},
		"plugin's quotes":   {args: []string{"-elect", `plugin:"/opt/my elector`}, want: "quotes"},
		"plugin missing":    {args: []string{"-elect", "plugin:/none/elector --secret"}, want: "/none/elector"},
		"plugin's env":      {args: []string{"-elect-env", "TOKEN"}, want: "-elect-env"},
		"environment":       {env: []string{"PROGET_DRAIN=soon"}, want: "PROGET_DRAIN"},
		"feeds":             {env: []string{"PROGET_FEEDS=nuget"}, want: "name:type"},
		"feed name":         {env: []string{"PROGET_FEEDS=a/b:nuget"}, want: "a/b"},
		"feed named twice":  {env: []string{"PROGET_FEEDS=a:nuget,A:universal"}, want: "PROGET_FEEDS"},
		"short password":    {env: []string{"PROGET_ADMIN_PASSWORD=short"}, want: "PROGET_ADMIN_PASSWORD: A password must have"},
		"short new one":     {args: []string{"resetadminpassword"}, env: []string{"PROGET_ADMIN_PASSWORD=short"}, want: "server: PROGET_ADMIN_PASSWORD: A password must have"},
		"short key":         {env: []string{"PROGET_API_KEY=short"}, want: "PROGET_API_KEY"},
		"unknown feed type": {env: []string{"PROGET_FEEDS=a:cobol"}, want: "cobol"},
		"nothing in a file": {env: []string{"PROGET_DB_FILE=" + os.DevNull}, want: "PROGET_DB_FILE"},
		"no folder":         {args: []string{"-data", ""}, want: "-data"},
		"no such file":      {env: []string{"PROGET_API_KEY=", "PROGET_API_KEY_FILE=/none/key"}, want: "PROGET_API_KEY_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, tc.args...)
			cmd.Env = append(append(cmd.Env, "PROGET_LISTEN=127.0.0.1:0"), tc.env...) // whoever runs a server at the usual place
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			require.Equal(t, 2, exit.ExitCode(), "%s", out)
			require.Contains(t, string(out), tc.want)
			require.NotContains(t, string(out), "secret")
			require.Equal(t, 1, strings.Count(string(out), "\n"), "one line: %s", out)
		})
	}
}

// TestElect: whatever elects, a lone node is elected, and says by what.
func TestElect(t *testing.T) {
	t.Parallel()
	plugin := buildPlugin(t)
	for _, elect := range []string{"database", "static", fmt.Sprintf("plugin:%q %s", plugin, t.TempDir()), "etcd"} {
		kind, _, _ := strings.Cut(elect, ":")
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if elect == "etcd" {
				elect = "etcd://me:secret@" + testenv.StartEtcd(t).Address + "/feeds"
			}
			p := start(t, "-elect", elect)
			require.Eventually(t, func() bool { return strings.Contains(p.Log(), "msg=elected") || strings.Contains(p.Log(), " elected ") }, waitLong, waitStep)
			require.Contains(t, p.Log(), "Election   "+kind)
			require.NotContains(t, p.Log(), "secret")
			p.Signal(t, os.Interrupt)
			require.Zero(t, p.Wait(t), p.Log())
			require.NotContains(t, p.Log(), "ERROR")
			require.NotContains(t, p.Log(), "could not be released")
		})
	}
}

// buildPlugin returns the example, under a name with a space.
func buildPlugin(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "my elector.exe")
	out, err := exec.Command("go", "build", "-o", path, "../electionplugin").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// TestElectEnv: a plugin gets the variables that are named for it, and none of
// the server's other ones.
func TestElectEnv(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the plugin is a script")
	}
	t.Setenv("TOKEN_OF_PLUGIN", "given")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	got, script := filepath.Join(t.TempDir(), "environment"), filepath.Join(t.TempDir(), "elector")
	text := fmt.Sprintf("#!/bin/sh\nenv >'%s'\nexec '%s' '%s'\n", got, buildPlugin(t), t.TempDir())
	require.NoError(t, os.WriteFile(script, []byte(text), 0o700))
	start(t, "-elect", "plugin:"+script, "-elect-env", "TOKEN_OF_PLUGIN, NOT_SET")
	env, err := os.ReadFile(got)
	require.NoError(t, err)
	require.Contains(t, string(env), "TOKEN_OF_PLUGIN=given")
	require.NotContains(t, string(env), "secret")
	require.NotContains(t, string(env), "NOT_SET")
	require.NotContains(t, string(env), "PROGET_API_KEY")
}

// TestCannotStart: what is out of reach is said in one line, without secrets.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("neither a database nor a key, only a few words in a file, longer than a header is"), 0o600))
	badKey := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(badKey, "encryption.key"), []byte("key"), 0o600))
	missing := filepath.Join(t.TempDir(), "missing")
	taken := start(t)
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"nobody listens":    {[]string{"-encryption-key", key, "-db", fmt.Sprintf("postgres://user:secret@127.0.0.1:%d/feeds", testenv.FreePort(t))}, "database"},
		"no SQL Server":     {[]string{"-encryption-key", key, "-db", fmt.Sprintf("Server=127.0.0.1,%d;Database=x;User ID=u;Password=secret", testenv.FreePort(t))}, "database"},
		"data is a file":    {[]string{"-data", file}, file},
		"storage is a file": {[]string{"-storage", "file://" + file}, file},
		"storage's parent":  {[]string{"-storage", "file://" + file + "/none/packages"}, file},
		"port in use":       {[]string{"-listen", strings.TrimPrefix(taken.URL, "http://")}, "-listen"},
		"no database":       {[]string{"-db", "sqlite:" + file}, file},
		"damaged database":  {[]string{"-encryption-key", key, "-db", "sqlite:" + file}, "restore command"},
		"database's folder": {[]string{"-db", "sqlite:" + missing + "/proget.db"}, missing},
		"bad key file":      {[]string{"-data", badKey}, "encryption.key"},
		"no etcd":           {[]string{"-elect", fmt.Sprintf("etcd://me:secret@127.0.0.1:%d/feeds", testenv.FreePort(t))}, "refused"},
		"no plugin":         {[]string{"-elect", "plugin:false --password secret"}, "-elect plugin:false cannot be used"},
		"nothing to reset":  {[]string{"resetadminpassword", "-data", missing}, "-data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, tc.args...)
			cmd.Env = append(cmd.Env, "PROGET_LISTEN=127.0.0.1:0")
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			require.Equal(t, 1, exit.ExitCode(), "%s", out)
			require.Regexp(t, "(?m)^server: .*"+regexp.QuoteMeta(tc.want)+".*\n\\z", string(out), "the last line says it")
			require.NotContains(t, string(out), "secret")
		})
	}
	require.NoFileExists(t, missing)
}

// TestResetPassword: the new password opens the server, the former one does not.
func TestResetPassword(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, "-data", data)
	signIn := func(password string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+"/nuget/nuget/v3/index.json", nil)
		require.NoError(t, err)
		req.SetBasicAuth("Admin", password)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	require.Equal(t, http.StatusOK, signIn("password"))
	cmd := command(t, "resetadminpassword", "-data", data)
	cmd.Env = append(cmd.Env, "PROGET_ADMIN_PASSWORD=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	words := strings.Fields(string(out))
	require.Equal(t, http.StatusOK, signIn(words[len(words)-1]), "a running server learns of it")
	require.Equal(t, http.StatusUnauthorized, signIn("password"))
}

// TestStopInOrder: on SIGTERM readiness turns 503 while requests are still
// answered, what is in flight finishes, and another node leads at once.
func TestStopInOrder(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	shared := []string{"-data", data, "-drain", "1s"}
	p := start(t, append(shared, "-node", "a")...)
	require.Eventually(t, func() bool { return primary(p.URL) }, waitLong, waitStep)
	other := start(t, append(shared, "-node", "b", "-roles", "index")...)
	require.False(t, primary(other.URL))

	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL+"/nuget/nuget/api/v2/package", in)
	require.NoError(t, err)
	req.Header.Set("X-NuGet-ApiKey", apiKey)
	answer := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Log(err)
			close(answer)
			return
		}
		_ = resp.Body.Close()
		answer <- resp.StatusCode
	}()
	file := testenv.Nupkg(t, "Acme.Slow", "1.0.0")
	_, err = out.Write(file[:100]) // the server reads it: the upload is in flight
	require.NoError(t, err)

	p.Signal(t, syscall.SIGTERM)
	require.Eventually(t, func() bool { return status(p.URL+"/health/ready") == http.StatusServiceUnavailable }, waitLong, waitStep)
	require.Equal(t, http.StatusOK, status(p.URL+"/nuget/nuget/v3/index.json"), "load balancers need a moment to notice")
	require.Eventually(t, func() bool { return status(p.URL+"/health/live") == 0 }, waitLong, waitStep, "nothing new is taken")
	_, err = out.Write(file[100:])
	require.NoError(t, err)
	require.NoError(t, out.Close())
	require.Equal(t, http.StatusCreated, <-answer, "what was in flight finished")
	require.Zero(t, p.Wait(t), p.Log())
	require.Eventually(t, func() bool { return primary(other.URL) }, waitLong, waitStep)
	require.NotContains(t, p.Log(), "ERROR")
}

func primary(base string) bool {
	resp, err := http.Get(base + "/health/ready")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return strings.Contains(string(text), `"primary":true`)
}

// TestMemoryOfLargePush: a package is never held in memory.
func TestMemoryOfLargePush(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 1 GiB")
	}
	p := start(t)
	require.NoError(t, pushLarge(t.Context(), p.URL, "large", 1<<30))
	require.Less(t, p.PeakMemory(t), int64(100<<20))
	t.Logf("peak memory %d MiB", p.PeakMemory(t)>>20)
}

// TestDatabaseOutage: while the database is away, what is in memory is served
// with a warning, the rest is refused for the moment, and all is well once it
// is back.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	postgres := testenv.StartPostgres(t)
	p := start(t, "-db", postgres.NewDatabase(t), "-encryption-key", key)
	require.Equal(t, http.StatusCreated, push(t, p.URL, testenv.Nupkg(t, "Acme.Lib", "1.0.0")))
	known := p.URL + "/nuget/nuget/v3/registration/acme.lib/index.json"
	require.Equal(t, http.StatusOK, status(known))

	postgres.Stop(t)
	require.Equal(t, http.StatusInternalServerError, status(p.URL+"/health"))
	require.Equal(t, http.StatusServiceUnavailable, push(t, p.URL, testenv.Nupkg(t, "Acme.Lib", "2.0.0")))
	stored, removed := make(chan int, 1), make(chan int, 1)
	go func() { // its type looks for what is there before it stores anything
		stored <- change(t, http.MethodPut, p.URL+"/endpoints/asset/content/file", "text")
	}()
	go func() { removed <- change(t, http.MethodDelete, p.URL+"/nuget/nuget/api/v2/package/Nothing/1.0.0", "") }()
	require.Equal(t, http.StatusOK, status(p.URL+"/nuget/nuget/v3/index.json"), "nobody asked for it before")
	require.Equal(t, http.StatusOK, status(p.URL+"/health/ready"), "all nodes would be unready, and they do answer")
	resp, err := http.Get(known)
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Warning"), "111")
	resp, err = http.Get(p.URL + "/nuget/nuget/v3/registration/unknown/index.json")
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.NotContains(t, string(text), "127.0.0.1", "nothing internal is shown")
	require.Equal(t, http.StatusServiceUnavailable, status(p.URL+"/nuget/nuget/v3/flatcontainer/acme.lib/2.0.0/acme.lib.2.0.0.nupkg"),
		"what is not known may have been published elsewhere")

	postgres.Start(t)
	require.Equal(t, http.StatusCreated, <-stored, "a change waits for longer than a read")
	require.Equal(t, http.StatusNotFound, <-removed, "what is not there is known again")
	require.Eventually(t, func() bool { return status(p.URL+"/health") == http.StatusOK }, waitLong, waitStep)
	require.Equal(t, http.StatusCreated, push(t, p.URL, testenv.Nupkg(t, "Acme.Lib", "3.0.0")))
	require.Equal(t, http.StatusOK, status(p.URL+"/nuget/nuget/v3/flatcontainer/acme.lib/3.0.0/acme.lib.3.0.0.nupkg"))
}

// change sends a change with the key, and returns the status of its answer.
func change(t *testing.T, method, url, body string) int {
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if !assert.NoError(t, err) {
		return 0
	}
	req.Header.Set("X-ApiKey", apiKey)
	resp, err := http.DefaultClient.Do(req)
	if !assert.NoError(t, err) {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestTracesAreSent: a collector named in the environment gets what happened,
// the last of it when the server ends.
func TestTracesAreSent(t *testing.T) {
	t.Parallel()
	got := make(chan string, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + string(body)
	}))
	defer collector.Close()
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	cmd := command(t, "-listen", address, "-drain", "0s")
	cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_COMPRESSION=none")
	p := testenv.Start(t, "http://"+address, cmd)
	require.Equal(t, http.StatusCreated, push(t, p.URL, testenv.Nupkg(t, "Acme.Lib", "1.0.0")))
	p.Signal(t, syscall.SIGTERM)
	require.Zero(t, p.Wait(t), p.Log())
	close(got)
	var all strings.Builder
	for text := range got {
		require.True(t, strings.HasPrefix(text, "/v1/traces"))
		all.WriteString(text)
	}
	require.Contains(t, all.String(), "query InsertFirstVersion")
}
