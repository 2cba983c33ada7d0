package main_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
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

// The benchmarks measure this server beside nginx serving the same bytes as
// static files, in turns within one run, in work per second of the servers'
// processor time: what a machine's noise and the client's own work leave
// comparable.

// contest is this server and an nginx that has copies of some of its answers.
type contest struct {
	ours, nginx *testenv.Process
	root        string // of nginx
}

func newContest(b *testing.B) *contest {
	b.Helper()
	nginx := testenv.Program(b, "install nginx (Debian: apt-get install nginx-light)", "nginx", "/usr/sbin/nginx")
	dir, port := b.TempDir(), testenv.FreePort(b)
	require.NoError(b, os.Mkdir(filepath.Join(dir, "www"), 0o755))
	conf := fmt.Sprintf(`daemon off; master_process off; pid nginx.pid; error_log stderr;
events { worker_connections 1024; }
http {
	access_log off; sendfile on; tcp_nopush on; etag on; keepalive_requests 100000000; open_file_cache max=1000;
	client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
	server { listen 127.0.0.1:%d; root www; }
}`, port)
	require.NoError(b, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600))
	c := &contest{ours: start(b), root: filepath.Join(dir, "www")}
	c.nginx = testenv.Start(b, fmt.Sprintf("http://127.0.0.1:%d", port), exec.Command(nginx, "-p", dir, "-c", "nginx.conf", "-e", "stderr"))
	return c
}

// copy lets nginx serve what this server answers.
func (c *contest) copy(b *testing.B, path string) (name string) {
	b.Helper()
	resp, err := http.Get(c.ours.URL + path)
	require.NoError(b, err)
	defer resp.Body.Close()
	require.Equal(b, http.StatusOK, resp.StatusCode, path)
	f, err := os.Create(filepath.Join(c.root, fmt.Sprintf("copy%d", rand.Uint32())))
	require.NoError(b, err)
	_, err = io.Copy(f, resp.Body)
	require.NoError(b, errors.Join(err, f.Close()))
	return "/" + filepath.Base(f.Name())
}

// compare asks both for the same bytes, in turns, and reports what a second of
// processor time yields: requests, or MiB if the answers are large.
func (c *contest) compare(b *testing.B, path string, connections int, large bool) {
	b.Helper()
	copied := c.copy(b, path)
	var size int64
	measure := func(p *testing.B, proc *testenv.Process, path string, n int) (cpu time.Duration) {
		before := proc.CPU(p)
		size = load(p, proc.URL, path, connections, n)
		return proc.CPU(p) - before
	}
	measure(b, c.ours, path, connections) // warm
	measure(b, c.nginx, copied, connections)
	b.ResetTimer()
	var ours, theirs time.Duration
	const turns = 10
	n := (b.N + turns - 1) / turns
	for range turns {
		ours += measure(b, c.ours, path, n)
		theirs += measure(b, c.nginx, copied, n)
	}
	unit, work := "requests/cpu-s", float64(n*turns)
	if large {
		unit, work = "MiB/cpu-s", work*float64(size)/(1<<20)
	}
	b.ReportMetric(work/ours.Seconds(), unit)
	b.ReportMetric(work/theirs.Seconds(), "nginx-"+unit)
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-nginx")
}

// load sends n requests over some connections and returns the size of a body.
func load(b *testing.B, base, path string, connections, n int) (size int64) {
	b.Helper()
	address := strings.TrimPrefix(base, "http://")
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\n\r\n")
	var clients sync.WaitGroup
	connections = min(connections, n)
	for i := range connections {
		share := n / connections
		if i < n%connections {
			share++
		}
		clients.Go(func() {
			got, err := get(address, request, share)
			if err != nil {
				b.Errorf("%s%s: %v", base, path, err)
			}
			if i == 0 {
				size = got
			}
		})
	}
	clients.Wait()
	return size
}

func get(address string, request []byte, n int) (size int64, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for range n {
		if _, err := conn.Write(request); err != nil {
			return 0, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return 0, err
		}
		if size, err = io.Copy(io.Discard, resp.Body); err != nil {
			return 0, err
		}
		if resp.StatusCode != http.StatusOK || size != resp.ContentLength {
			return 0, fmt.Errorf("%s, %d bytes of %d", resp.Status, size, resp.ContentLength)
		}
	}
	return size, nil
}

// BenchmarkRegistration asks for a document of 50 versions that is in memory.
// Each request still waits for an answer of the database about what is new.
func BenchmarkRegistration(b *testing.B) {
	c := newContest(b)
	for n := range 50 {
		require.Equal(b, http.StatusCreated, push(b, c.ours.URL, testenv.Nupkg(b, "Acme.Lib", fmt.Sprintf("1.%d.0", n))))
	}
	for _, connections := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			c.compare(b, "/nuget/nuget/v3/registration/acme.lib/index.json", connections, false)
		})
	}
}

// BenchmarkColdRegistration asks for each of many packages once.
func BenchmarkColdRegistration(b *testing.B) {
	p := start(b)
	for n := range b.N {
		require.Equal(b, http.StatusCreated, push(b, p.URL, testenv.Nupkg(b, fmt.Sprintf("Acme.Lib%d", n), "1.0.0")))
	}
	before := p.CPU(b)
	b.ResetTimer()
	for n := range b.N {
		load(b, p.URL, fmt.Sprintf("/nuget/nuget/v3/registration/acme.lib%d/index.json", n), 1, 1)
	}
	b.ReportMetric(float64(b.N)/(p.CPU(b)-before).Seconds(), "requests/cpu-s")
}

func BenchmarkPush(b *testing.B) {
	p := start(b)
	before := p.CPU(b)
	for n := 0; b.Loop(); n++ {
		require.Equal(b, http.StatusCreated, push(b, p.URL, testenv.Nupkg(b, "Acme.Lib", fmt.Sprintf("1.%d.0", n))))
	}
	b.ReportMetric(float64(b.N)/(p.CPU(b)-before).Seconds(), "pushes/cpu-s")
}

func BenchmarkDownload(b *testing.B) {
	c := newContest(b)
	for _, size := range []struct {
		name  string
		bytes int64
	}{{"100KiB", 100 << 10}, {"100MiB", 100 << 20}} {
		name := "file" + size.name
		require.NoError(b, pushLarge(b.Context(), c.ours.URL, name, size.bytes))
		b.Run(size.name, func(b *testing.B) {
			b.SetBytes(2 * size.bytes)
			c.compare(b, "/upack/universal/download/"+strings.ToLower(name)+"/1.0.0", 16, true)
		})
	}
}

// pushLarge pushes a universal package whose bytes nothing can compress,
// without holding it in memory.
func pushLarge(ctx context.Context, base, name string, size int64) error {
	in, out := io.Pipe()
	go func() { out.CloseWithError(writeLarge(out, name, size)) }()
	defer in.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, base+"/upack/universal/upload", in)
	if err != nil {
		return err
	}
	req.Header.Set("X-ApiKey", apiKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return err
}

func writeLarge(w io.Writer, name string, size int64) error {
	z := zip.NewWriter(w)
	manifest, err := z.Create("upack.json")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(manifest).Encode(map[string]string{"name": name, "version": "1.0.0"}); err != nil {
		return err
	}
	data, err := z.CreateHeader(&zip.FileHeader{Name: "package/data", Method: zip.Store})
	if err != nil {
		return err
	}
	if _, err := io.CopyN(data, rand.NewChaCha8([32]byte{}), size); err != nil {
		return err
	}
	return z.Close()
}

func push(t testing.TB, base string, file []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/nuget/nuget/api/v2/package", bytes.NewReader(file))
	require.NoError(t, err)
	req.Header.Set("X-NuGet-ApiKey", apiKey)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
