package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// TestEmbedded: the program serves the feed beside its own pages, and knows the
// packages still after it was killed. A signal ends it in order.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "embed")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "docs"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docs", "own.txt"), []byte("our own page"), 0o600))
	run := func() *testenv.Process {
		address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
		cmd := exec.Command(program)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "ADDRESS="+address)
		p := testenv.Start(t, "http://"+address, cmd)
		require.Eventually(t, func() bool {
			code, _ := get(p.URL + "/nuget/nuget/v3/index.json")
			return code == http.StatusOK
		}, 30*time.Second, 20*time.Millisecond, p.Log())
		return p
	}
	p := run()
	_, text := get(p.URL + "/docs/own.txt")
	require.Equal(t, "our own page", text)
	require.Eventually(t, func() bool {
		code, _ := get(p.URL + "/health/ready")
		return code == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond, p.Log())
	_, text = get(p.URL + "/metrics")
	require.Contains(t, text, "proget_ready 1")
	const versions = "/nuget/nuget/v3/flatcontainer/acme.lib/index.json"
	code, _ := get(p.URL + versions)
	require.Equal(t, http.StatusNotFound, code)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL+"/nuget/nuget/api/v2/package",
		bytes.NewReader(testenv.Nupkg(t, "Acme.Lib", "1.0.0")))
	require.NoError(t, err)
	req.Header.Set("X-NuGet-ApiKey", "change-me-please")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	p.Signal(t, os.Kill)
	p.Wait(t)
	p = run()
	_, text = get(p.URL + versions)
	require.Contains(t, text, "1.0.0")
	code, _ = get(p.URL + "/nuget/nuget/v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg")
	require.Equal(t, http.StatusOK, code)
	p.Signal(t, os.Interrupt)
	require.Zero(t, p.Wait(t), "it stops in order: %s", p.Log())
}

func get(url string) (code int, text string) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	var b strings.Builder
	_, _ = io.Copy(&b, resp.Body)
	return resp.StatusCode, b.String()
}
