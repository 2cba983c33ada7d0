package node_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/storage"
)

// TestSamba: nodes whose file server is away stay in the load balancer and say
// so, answer 503 for what they need it for, and go on by themselves when it is
// back.
func TestSamba(t *testing.T) {
	t.Parallel()
	samba := testenv.StartSamba(t)
	w := newWorld(t)
	var err error
	w.folder = filepath.Join(samba.Data, "store")
	w.blobs, err = storage.OpenFolder(filepath.Join(samba.Folder, "store"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.blobs.Close() })
	a, b := w.start(t, "a").URL, w.start(t, "b").URL
	push := func(root, version string, status int) {
		t.Helper()
		for _, p := range packages(t, root, version) {
			resp, text := ask(t, "PUT", p.push, p.file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
			require.Equal(t, status, resp.StatusCode, text)
			if status != http.StatusCreated {
				requireRefusal(t, status, resp, text)
			}
		}
	}
	restore := func(root, version string, status int) {
		t.Helper()
		for _, p := range packages(t, root, version) {
			resp, text := ask(t, "GET", p.get, nil)
			require.Equal(t, status, resp.StatusCode, text)
			if status == http.StatusOK {
				require.Equal(t, string(p.file), text)
			}
		}
	}
	warned := func(warning string) func() bool {
		return func() bool {
			for _, root := range []string{a, b} {
				resp, text := ask(t, "GET", root+"/health/ready", nil)
				require.Equal(t, http.StatusOK, resp.StatusCode, text)
				if !strings.Contains(text, `"warnings":[`+warning) {
					return false
				}
			}
			return true
		}
	}
	push(a, "1.0.0", http.StatusCreated)
	restore(b, "1.0.0", http.StatusOK)

	samba.Stop()
	push(b, "2.0.0", http.StatusServiceUnavailable)
	restore(a, "1.0.0", http.StatusServiceUnavailable)
	require.Eventually(t, warned(`"Storage cannot be reached`), waitLook, waitShort)
	require.Equal(t, 2, w.versions(t))

	samba.Start(t)
	require.Eventually(t, warned(`]`), waitLook, waitShort)
	restore(a, "1.0.0", http.StatusOK)
	push(b, "2.0.0", http.StatusCreated)
	restore(a, "2.0.0", http.StatusOK)
}
