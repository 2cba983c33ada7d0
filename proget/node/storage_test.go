package node_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/faulty"
	"github.com/proget-go/ha/storage/share"
)

// waitLook is longer than between two looks at storage.
const waitLook = 3 * waitLong

// newFaultyWorld is a world whose storage can be made to fail.
func newFaultyWorld(t *testing.T) (*world, *faulty.Bucket) {
	t.Helper()
	w := newWorld(t)
	bucket, err := share.OpenBucket(w.folder)
	require.NoError(t, err)
	faults := faulty.New(bucket)
	w.blobs = storage.New(blob.NewBucket(faults), nil)
	t.Cleanup(func() { _ = w.blobs.Close() })
	return w, faults
}

// versions counts the rows of versions in the database.
func (w *world) versions(t *testing.T) (n int) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+w.database)
	require.NoError(t, err)
	defer raw.Close()
	require.NoError(t, raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM package_version").Scan(&n))
	return n
}

// pkg is a way to push a package and to get it again.
type pkg struct {
	push, get string
	file      []byte
}

// packages are some of each type. None fits into one write.
func packages(t *testing.T, root, version string) map[string]pkg {
	t.Helper()
	name := "filler" + strings.ReplaceAll(version, ".", "")
	filler := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(filler) // does not compress
	nuspec := `<package><metadata><id>Acme.Lib</id><version>` + version + `</version><authors>a</authors><description>d</description></metadata></package>`
	upack := `{"name":"lib","version":"` + version + `"}`
	return map[string]pkg{
		"nuget": {root + "/nuget/nuget/api/v2/package", root + "/nuget/nuget/v3/flatcontainer/acme.lib/" + version + "/acme.lib." + version + ".nupkg",
			archive(t, "Acme.Lib.nuspec", nuspec, name, string(filler))},
		"universal": {root + "/upack/universal/upload", root + "/upack/universal/download/lib/" + version,
			archive(t, "upack.json", upack, "package/"+name, string(filler))},
	}
}

// requireRefusal asserts that an answer is an error that says what happened and
// nothing that is only the server's to know.
func requireRefusal(t *testing.T, status int, resp *http.Response, text string) {
	t.Helper()
	require.Equal(t, status, resp.StatusCode, text)
	require.Equal(t, status == http.StatusServiceUnavailable, resp.Header.Get("Retry-After") != "", "503 alone is worth a repetition")
	require.Greater(t, len(text), 15, "a sentence")
	for _, secret := range []string{"secret-share", storage.BlobPrefix, "no space left", "input/output", "stale", "goroutine", ".go:"} {
		require.NotContains(t, text, secret)
	}
}

// TestPushWhileStorageFails: a push that storage does not take is refused with
// what the client can do, leaves no version behind, and can be repeated.
func TestPushWhileStorageFails(t *testing.T) {
	t.Parallel()
	w, faults := newFaultyWorld(t)
	root := w.start(t, "a").URL
	const full, away = http.StatusInsufficientStorage, http.StatusServiceUnavailable
	cases := []struct {
		fault  faulty.Fault
		status int
	}{
		{faulty.Fault{Op: faulty.Create, Err: faulty.ErrNoSpace}, full},
		{faulty.Fault{Op: faulty.Write, Err: faulty.ErrNoSpace}, full},
		{faulty.Fault{Op: faulty.Write, Nth: 2, Err: faulty.ErrNoSpace, Effect: faulty.Tear}, full},
		{faulty.Fault{Op: faulty.Close, Err: faulty.ErrNoSpace}, full},
		{faulty.Fault{Op: faulty.Create, Err: faulty.ErrIO}, away},
		{faulty.Fault{Op: faulty.Create, Err: faulty.ErrDenied}, away},
		{faulty.Fault{Op: faulty.Create, Err: faulty.ErrReadOnly}, away},
		{faulty.Fault{Op: faulty.Write, Nth: 2, Err: faulty.ErrStale}, away},
		{faulty.Fault{Op: faulty.Write, Nth: 2, Effect: faulty.Tear}, away}, // a short write
		{faulty.Fault{Op: faulty.Close, Err: faulty.ErrIO}, away},
		{faulty.Fault{Op: faulty.Close, Err: faulty.ErrIO, Effect: faulty.LoseAnswer}, away},
		{faulty.Fault{Op: faulty.Close, Err: faulty.ErrIO, Effect: faulty.Tear}, away},
		{faulty.Fault{Op: faulty.Close, Effect: faulty.Vanish}, away},
		{faulty.Fault{Op: faulty.Close, Effect: faulty.Tear}, away},
		{faulty.Fault{Op: faulty.Open, Err: faulty.ErrIO}, away},
		{faulty.Fault{Op: faulty.Read, Err: faulty.ErrStale}, away},
	}
	for name, p := range packages(t, root, "1.0.0") {
		for _, c := range cases {
			c.fault.Key = storage.BlobPrefix
			faults.Inject(c.fault)
			resp, text := ask(t, "PUT", p.push, p.file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
			require.Equal(t, 1, faults.Fired(), "%s %+v", name, c.fault)
			faults.Clear()
			requireRefusal(t, c.status, resp, text)
			require.Zero(t, w.versions(t), "%s %+v", name, c.fault)
			require.Zero(t, w.files(t), "%s %+v", name, c.fault)
			resp, _ = ask(t, "GET", p.get, nil)
			require.Equal(t, http.StatusNotFound, resp.StatusCode)
		}
	}
	for name, p := range packages(t, root, "1.0.0") {
		resp, text := ask(t, "PUT", p.push, p.file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
		require.Equal(t, http.StatusCreated, resp.StatusCode, "%s: %s", name, text)
		resp, text = ask(t, "GET", p.get, nil)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, string(p.file), text)
	}
	require.Equal(t, 2, w.versions(t))
}

// TestRestoreWhileStorageFails: a file that cannot be read is 503, or ends
// before its length; never is a byte of it wrong. Other files are served.
func TestRestoreWhileStorageFails(t *testing.T) {
	t.Parallel()
	w, faults := newFaultyWorld(t)
	root := w.start(t, "a").URL
	sound := root + "/nuget/nuget/v3/flatcontainer/acme.sound/1.0.0/acme.sound.1.0.0.nupkg"
	push := func(url string, file []byte) (key string) {
		before := w.objects(t)
		resp, text := ask(t, "PUT", url, file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
		for o, err := range w.blobs.List(t.Context(), storage.BlobPrefix) {
			require.NoError(t, err)
			if !before[o.Key] && o.Size == int64(len(file)) { // an index may have been written meanwhile
				key = o.Key
			}
		}
		require.NotEmpty(t, key)
		return key
	}
	push(root+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, "Acme.Sound", "1.0.0"))
	requireOthers := func() {
		resp, _ := ask(t, "GET", sound, nil)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	for name, p := range packages(t, root, "1.0.0") {
		key := push(p.push, p.file)
		for _, err := range []error{faulty.ErrIO, faulty.ErrStale, faulty.ErrDenied} {
			faults.Inject(faulty.Fault{Op: faulty.Open, Times: -1, Key: key, Err: err})
			resp, text := ask(t, "GET", p.get, nil)
			requireRefusal(t, http.StatusServiceUnavailable, resp, text)
			requireOthers()
			faults.Clear()
		}
		faults.Inject(faulty.Fault{Op: faulty.Read, Nth: 3, Times: -1, Key: key, Err: faulty.ErrIO})
		resp, err := http.Get(p.get)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		require.Error(t, err, "%s: the client must see that the file is cut short", name)
		require.True(t, bytes.HasPrefix(p.file, body))
		requireOthers()
		faults.Clear()

		resp, text := ask(t, "GET", p.get, nil)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, string(p.file), text)

		require.NoError(t, w.blobs.Delete(t.Context(), key))
		resp, text = ask(t, "GET", p.get, nil)
		requireRefusal(t, http.StatusServiceUnavailable, resp, text)
		requireOthers()
	}
}

// objects returns the keys of stored packages.
func (w *world) objects(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for o, err := range w.blobs.List(t.Context(), storage.BlobPrefix) {
		require.NoError(t, err)
		all[o.Key] = true
	}
	return all
}

// TestStorageStates: whatever is wrong with the storage that all nodes share,
// none leaves the load balancer: it says so, answers what it can, and refuses
// the rest with what the client can do.
func TestStorageStates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ops          []faulty.Op
		err          error
		says         string
		push, served int
	}{
		"full":      {[]faulty.Op{faulty.Write}, faulty.ErrNoSpace, "Storage is full", http.StatusInsufficientStorage, http.StatusOK},
		"read-only": {[]faulty.Op{faulty.Create, faulty.Delete}, faulty.ErrReadOnly, "Storage is read-only", http.StatusServiceUnavailable, http.StatusOK},
		"gone":      {faulty.Ops, faulty.ErrIO, "Storage cannot be reached", http.StatusServiceUnavailable, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, faults := newFaultyWorld(t)
			root := w.start(t, "a").URL
			for _, p := range packages(t, root, "1.0.0") {
				resp, text := ask(t, "PUT", p.push, p.file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
				require.Equal(t, http.StatusCreated, resp.StatusCode, text)
			}
			for _, op := range c.ops {
				faults.Inject(faulty.Fault{Op: op, Times: -1, Err: c.err})
			}
			require.Eventually(t, func() bool {
				resp, text := ask(t, "GET", root+"/health/ready", nil)
				require.Equal(t, http.StatusOK, resp.StatusCode, text)
				return strings.Contains(text, `"warnings":["`+c.says)
			}, waitLook, waitShort)
			resp, text := ask(t, "GET", root+"/health", nil)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Contains(t, text, `"serviceStatus":"OK","serviceStatusDetail":"`+c.says)
			_, text = ask(t, "GET", root+"/health", nil, "Accept", "text/plain")
			require.Contains(t, text, "OK. "+c.says)
			_, text = ask(t, "GET", root+"/metrics", nil)
			require.Contains(t, text, "proget_warnings 1")
			require.Contains(t, text, "proget_ready 1")

			for _, p := range packages(t, root, "1.0.0") {
				resp, _ := ask(t, "GET", p.get, nil)
				require.Equal(t, c.served, resp.StatusCode)
			}
			for _, p := range packages(t, root, "2.0.0") {
				resp, text := ask(t, "PUT", p.push, p.file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
				requireRefusal(t, c.push, resp, text)
			}
			require.Equal(t, 2, w.versions(t))
			resp, text = ask(t, "GET", root+"/nuget/nuget/v3/registration/acme.lib/index.json", nil)
			require.Equal(t, http.StatusOK, resp.StatusCode, text)
			resp, text = ask(t, "DELETE", root+"/nuget/nuget/api/v2/package/Acme.Lib/1.0.0", nil, "X-NuGet-ApiKey", apiKey)
			require.Equal(t, http.StatusNoContent, resp.StatusCode, "what concerns the database alone goes on: %s", text)

			faults.Clear()
			for _, p := range packages(t, root, "2.0.0") {
				resp, text := ask(t, "PUT", p.push, p.file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
				require.Equal(t, http.StatusCreated, resp.StatusCode, text)
			}
			require.Eventually(t, func() bool {
				_, text := ask(t, "GET", root+"/health/ready", nil)
				return strings.Contains(text, `"warnings":[]`)
			}, waitLook, waitShort)
		})
	}
}

// TestNoRoom: who says that more is to come than storage has room for is told
// so before sending it.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	w, faults := newFaultyWorld(t)
	address := w.start(t, "a").Listener.Addr().String()
	faults.SetSpace(roomFor(100 << 20))
	for _, line := range []string{"PUT /nuget/nuget/api/v2/package", "POST /upack/universal/upload"} {
		for _, header := range []string{"Content-Type: application/octet-stream", "Expect: 100-continue"} {
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			require.NoError(t, conn.SetDeadline(time.Now().Add(waitLong)))
			_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: feeds\r\nX-ApiKey: %s\r\nX-NuGet-ApiKey: %s\r\n%s\r\nContent-Length: 200000000\r\n\r\n", line, apiKey, apiKey, header)
			require.NoError(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			requireRefusal(t, http.StatusInsufficientStorage, resp, string(text))
			require.Contains(t, string(text), "no room")
			require.NoError(t, conn.Close())
		}
	}
	require.Zero(t, w.files(t))
	require.Zero(t, w.versions(t))
	faults.SetSpace(roomFor(1 << 40))
	for _, p := range packages(t, "http://"+address, "1.0.0") {
		resp, text := ask(t, "PUT", p.push, p.file, "X-ApiKey", apiKey, "X-NuGet-ApiKey", apiKey)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	}
}

func roomFor(free int64) share.Space {
	return func(context.Context) (int64, int64, error) { return free, 2 << 40, nil }
}
