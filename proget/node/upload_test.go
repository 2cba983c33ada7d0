package node_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// TestUploadPackage: ProGet's client sends a package of any type to one address.
func TestUploadPackage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a").URL, w.start(t, "b").URL
	upload := a + "/api/packages/nuget/upload"
	file := testenv.Nupkg(t, "Acme.Lib", "1.0.0")
	for _, tc := range []struct {
		method, url string
		body        []byte
		key         string
		status      int
		says        string
	}{
		{"PUT", upload, file, "", http.StatusUnauthorized, "needs"},
		{"PUT", upload, []byte("x"), apiKey, http.StatusBadRequest, "not a zip archive"},
		{"PUT", upload, file, apiKey, http.StatusOK, ""},
		{"PUT", upload + "/Acme.Lib.1.0.0.nupkg", file, apiKey, http.StatusConflict, "already exists"},
		{"POST", upload + "/any.nupkg", testenv.Nupkg(t, "Acme.Lib", "1.1.0"), apiKey, http.StatusOK, ""},
		{"PUT", a + "/api/packages/none/upload", file, apiKey, http.StatusNotFound, "no feed"},
		{"GET", upload, nil, apiKey, http.StatusMethodNotAllowed, "takes PUT, POST"},
	} {
		var header []string
		if tc.key != "" {
			header = []string{"X-ApiKey", tc.key}
		}
		resp, text := ask(t, tc.method, tc.url, tc.body, header...)
		require.Equal(t, tc.status, resp.StatusCode, "%s %s: %s", tc.method, tc.url, text)
		require.Contains(t, text, tc.says)
	}
	_, text := ask(t, "GET", b+"/nuget/nuget/v3/flatcontainer/acme.lib/index.json", nil)
	require.JSONEq(t, `{"versions":["1.0.0","1.1.0"]}`, text)
}
