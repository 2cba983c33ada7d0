package main_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// Everything that nobody is to read anywhere.
const (
	secretEncryption = "5ec4e700112233445566778899aabbcc"
	secretKey        = "S3cretApiKeyGivenAtFirstStart"
	secretPassword   = "S3cretPasswordOfTheAdmin"
	secretChosenKey  = "S3cretApiKeyChosenByAnAdmin"
	secretAnother    = "S3cretPasswordOfAnother"
	secretGuess      = "S3cretGuess"
	secretStorage    = "S3cretOfTheStorage"
	secretDatabase   = "S3cretOfTheDatabase"
)

// noSecrets checks a text in which a secret could have got.
func noSecrets(t *testing.T, where, text string) {
	t.Helper()
	plain, _ := url.QueryUnescape(text)
	for _, secret := range []string{secretEncryption, secretKey, secretPassword, secretChosenKey, secretAnother, secretGuess, secretStorage, secretDatabase} {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte("Admin:" + secret))} {
			require.NotContains(t, text, form, where)
			require.NotContains(t, plain, form, where)
		}
	}
}

// secretsWorld is a server whose traces are collected.
type secretsWorld struct {
	*testing.T
	*testenv.Process
	mu     sync.Mutex
	traces strings.Builder
}

func newSecretsWorld(t *testing.T) *secretsWorld {
	t.Helper()
	w := &secretsWorld{T: t}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.traces.Write(body)
	}))
	t.Cleanup(collector.Close)
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	cmd := command(t, "-listen", address, "-drain", "0s", "-encryption-key", secretEncryption)
	cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_COMPRESSION=none",
		"PROGET_API_KEY="+secretKey, "PROGET_ADMIN_PASSWORD="+secretPassword)
	w.Process = testenv.Start(t, "http://"+address, cmd)
	require.Eventually(t, func() bool { return status(w.URL+"/health/ready") == http.StatusOK }, waitLong, waitStep)
	return w
}

// ask sends a request, and checks that no secret comes back.
func (w *secretsWorld) ask(want int, method, path, body string, header ...string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.URL+path, strings.NewReader(body))
	require.NoError(w, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(w, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(w, err)
	require.Equal(w, want, resp.StatusCode, "%s %s: %s", method, path, text)
	if want < 300 && strings.HasSuffix(path, "api-keys/create") {
		return // which tells the key, once
	}
	noSecrets(w.T, method+" "+path, fmt.Sprint(resp.Header)+string(text))
}

// TestSecrets: what is secret is in no page, answer, error, metric, log or trace.
func TestSecrets(t *testing.T) {
	t.Parallel()
	w := newSecretsWorld(t)
	const form, json = "application/x-www-form-urlencoded", "application/json"
	admin := []string{"X-ApiKey", "Admin:" + secretPassword}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("Admin:"+secretGuess))
	asAdmin := func(contentType string) []string { return append(admin, "Content-Type", contentType) }

	w.ask(200, "POST", "/api/api-keys/create", `{"type":"Feed","packagePermissions":["view"],"key":"`+secretChosenKey+`"}`, asAdmin(json)...)
	w.ask(303, "POST", "/administration/users", "name=jo&password="+secretAnother, asAdmin(form)...)
	w.ask(400, "POST", "/administration/users", "name=&password="+secretAnother, asAdmin(form)...)
	w.ask(400, "POST", "/administration/storages", "name=x&url="+url.QueryEscape("s3://me:"+secretStorage+"@bucket?region=x"), asAdmin(form)...)
	w.ask(400, "POST", "/api/management/storages/create", `{"name":"x","url":"s3://me:`+secretStorage+`@bucket?region=x"}`, asAdmin(json)...)
	w.ask(400, "POST", "/api/management/storages/create", `{"name":"x","url":"://me:`+secretStorage+`@bucket"}`, asAdmin(json)...)
	w.ask(409, "POST", "/api/api-keys/create", `{"type":"Feed","packagePermissions":["view"],"key":"`+secretChosenKey+`"}`, asAdmin(json)...)
	w.ask(200, "GET", "/nuget/nuget/v3/index.json?key="+secretKey, "")
	w.ask(400, "PUT", "/nuget/nuget/", "junk", "X-NuGet-ApiKey", secretKey)
	w.ask(401, "GET", "/nuget/nuget/v3/index.json?key="+secretGuess, "")
	w.ask(401, "GET", "/feeds?key="+secretGuess, "")
	w.ask(401, "GET", "/npm/npm/a", "", "Authorization", basic)
	w.ask(401, "GET", "/v2/_auth", "", "Authorization", basic)
	w.ask(401, "GET", "/npm/npm/a", "", "Authorization", "Bearer "+secretGuess)
	w.ask(401, "GET", "/npm/npm/a", "", "Authorization", secretGuess)
	w.ask(401, "PUT", "/npm/npm/-/user/org.couchdb.user:jo", `{"name":"jo","password":"`+secretGuess+`"}`)
	w.ask(401, "POST", "/sign-in", "user=jo&password="+secretGuess, "Content-Type", form)
	for _, page := range []string{"", "/users", "/keys", "/storages", "/cluster", "/scheduled-jobs", "/user?subject=user:jo", "/feeds/nuget"} {
		w.ask(200, "GET", "/administration"+page, "", admin...)
	}
	for _, path := range []string{"/metrics", "/health", "/health/ready", "/api/api-keys/list", "/api/management/storages/list", "/api/management/feeds/list"} {
		w.ask(200, "GET", path, "", admin...)
	}
	w.Signal(t, syscall.SIGTERM)
	require.Zero(t, w.Wait(t), w.Log())
	noSecrets(t, "log", w.Log())
	require.Contains(t, w.Log(), "credentials were refused", "there is something to look at")
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Contains(t, w.traces.String(), "/v3/index.json")
	noSecrets(t, "traces", w.traces.String())
}

// TestSecretsAtStart: what is wrong with what a server is started with is told
// without what is secret in it.
func TestSecretsAtStart(t *testing.T) {
	t.Parallel()
	closed := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	for name, args := range map[string][]string{
		"no answer":           {"-db", "postgres://me:" + secretDatabase + "@" + closed + "/feeds"},
		"no postgres URL":     {"-db", "postgres://me:" + secretDatabase + "@" + closed + ":x/feeds"},
		"a slash in it":       {"-db", "postgres://me:" + secretDatabase + "/@" + closed + "/feeds"},
		"as a parameter":      {"-db", "postgres://" + closed + "/feeds?user=me&password=" + secretDatabase},
		"beside a user":       {"-db", "postgres://me@" + closed + "/feeds?password=" + secretDatabase + "&connect_timeout=3"},
		"beside, SQL Server":  {"-db", "sqlserver://me@" + closed + "?database=feeds&password=" + secretDatabase},
		"a semicolon in it":   {"-db", "odbc:server=" + strings.Replace(closed, ":", ",", 1) + ";user id=me;password={x;" + secretDatabase + "};database=feeds"},
		"unknown parameter":   {"-db", "postgres://me:" + secretDatabase + "@" + closed + "/feeds?sslmode=" + "none"},
		"SQL Server URL":      {"-db", "sqlserver://me:" + secretDatabase + "@" + closed + "?database=feeds"},
		"no SQL Server URL":   {"-db", "sqlserver://me:" + secretDatabase + "@" + closed + ":x?database=feeds"},
		"no engine":           {"-db", "mysql://me:" + secretDatabase + "@" + closed},
		"storage":             {"-storage", "s3://me:" + secretStorage + "@bucket?region=x"},
		"storage's parameter": {"-storage", "s3://bucket?region=x&secret=" + secretStorage},
		"no storage":          {"-storage", "ftp://me:" + secretStorage + "@host"},
		"folder":              {"-storage", "file://me:" + secretStorage + "@host/x"},
		"half a key":          {"-encryption-key", secretEncryption[:30]},
		"key and no key":      {"-encryption-key", secretEncryption + ",xyz"},
		"elector":             {"-elect", "etcd://me:" + secretStorage + "@" + closed + "/feeds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, append([]string{"-listen", "127.0.0.1:0"}, args...)...)
			if args[0] != "-encryption-key" {
				cmd.Args = append(cmd.Args, "-encryption-key", secretEncryption)
			}
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.True(t, errors.As(err, &exit), "%s", out)
			require.NotEmpty(t, out)
			noSecrets(t, name, string(out))
			require.NotContains(t, string(out), secretEncryption[:30])
		})
	}
}

// TestSecretFromPipe: what can be read only once is not lost, whatever the program does
// before it serves.
func TestSecretFromPipe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a pipe has no name here")
	}
	t.Parallel()
	wanted := filepath.Join(t.TempDir(), "wanted.db")
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	cmd := command(t, "-listen", address)
	cmd.Env = append(cmd.Env, "PROGET_DB_FILE=/dev/stdin")
	cmd.Stdin = strings.NewReader("sqlite:" + wanted)
	w := testenv.Start(t, "http://"+address, cmd)
	require.Eventually(t, func() bool { return status(w.URL+"/health/ready") == http.StatusOK }, waitLong, waitStep)
	require.FileExists(t, wanted)
}
