package main_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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

// contest is this server, of one or several nodes, and an nginx that has copies
// of some of its answers.
type contest struct {
	ours     []*testenv.Process
	database *testenv.Postgres // nil: embedded
	nginx    *testenv.Process
	root     string // of nginx
}

func newContest(b *testing.B, database *testenv.Postgres, ours ...*testenv.Process) *contest {
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
	return &contest{ours: ours, database: database, root: filepath.Join(dir, "www"),
		nginx: testenv.Start(b, fmt.Sprintf("http://127.0.0.1:%d", port), exec.Command(nginx, "-p", dir, "-c", "nginx.conf", "-e", "stderr"))}
}

// A question is what both are asked for.
type question struct {
	path      string
	accept    string        // the header; "" for none
	unchanged bool          // with the ETag of each: the answer is 304
	turn      time.Duration // how long one of them is asked before it is the other's turn; default 250 ms
}

// copy lets nginx serve what this server answers, and returns the question to
// nginx.
func (c *contest) copy(b *testing.B, q question) question {
	b.Helper()
	body, _ := fetch(b, c.ours[0].URL+q.path, q.accept)
	name := fmt.Sprintf("copy%d", rand.Uint32())
	require.NoError(b, os.WriteFile(filepath.Join(c.root, name), body, 0o600))
	return question{path: "/" + name, unchanged: q.unchanged}
}

func fetch(b *testing.B, url, accept string) (body []byte, tag string) {
	b.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(b, err)
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := racers.Do(req)
	require.NoError(b, err)
	defer resp.Body.Close()
	require.Equal(b, http.StatusOK, resp.StatusCode, url)
	body, err = io.ReadAll(resp.Body)
	require.NoError(b, err)
	return body, resp.Header.Get("ETag")
}

// request is the question as it goes over the wire.
func (q question) request(b *testing.B, base string) []byte {
	b.Helper()
	text := "GET " + q.path + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(base, "http://") + "\r\n"
	if q.accept != "" {
		text += "Accept: " + q.accept + "\r\n"
	}
	if q.unchanged {
		_, tag := fetch(b, base+q.path, q.accept)
		text += "If-None-Match: " + tag + "\r\n"
	}
	return []byte(text + "\r\n")
}

// A score is what a server has answered.
type score struct {
	cpu      time.Duration
	requests int64
	bytes    int64
	times    []time.Duration
}

func (s *score) perSecond() float64 { return float64(s.requests) / s.cpu.Seconds() }

// quantile returns how long requests took, in milliseconds.
func (s *score) quantile(q float64) float64 {
	slices.Sort(s.times)
	return s.times[int(float64(len(s.times)-1)*q)].Seconds() * 1000
}

// turns is how often each has its turn.
const turns = 8

// compare asks both for the same bytes, in turns, and reports what a second of
// processor time yields, this server's database counted in.
func (c *contest) compare(b *testing.B, q question, connections int) (ours, theirs score) {
	b.Helper()
	copied, turn := c.copy(b, q), cmp.Or(q.turn, 250*time.Millisecond)
	bases := make([]string, len(c.ours))
	requests := make([][]byte, len(c.ours))
	for i, p := range c.ours {
		bases[i], requests[i] = p.URL, q.request(b, p.URL)
	}
	copies := [][]byte{copied.request(b, c.nginx.URL)}
	for i := range turns + 1 { // the first warms up
		if i == 1 {
			ours, theirs = score{}, score{}
		}
		before := c.cpu(b)
		ours.load(b, bases, requests, connections, turn)
		ours.cpu += c.cpu(b) - before
		before = c.nginx.CPU(b)
		theirs.load(b, []string{c.nginx.URL}, copies, connections, turn)
		theirs.cpu += c.nginx.CPU(b) - before
	}
	b.ReportMetric(ours.perSecond(), "requests/cpu-s")
	b.ReportMetric(theirs.perSecond(), "nginx-requests/cpu-s")
	b.ReportMetric(ours.perSecond()/theirs.perSecond(), "of-nginx")
	b.ReportMetric(ours.quantile(.5), "p50-ms")
	b.ReportMetric(ours.quantile(.99), "p99-ms")
	b.ReportMetric(theirs.quantile(.5), "nginx-p50-ms")
	b.ReportMetric(theirs.quantile(.99), "nginx-p99-ms")
	b.ReportMetric(0, "ns/op") // of all that was done, which means nothing
	return ours, theirs
}

func (c *contest) cpu(b *testing.B) (sum time.Duration) {
	for _, p := range c.ours {
		sum += p.CPU(b)
	}
	if c.database != nil {
		sum += c.database.CPU(b)
	}
	return sum
}

// load asks for some time, over connections that are shared out among
// the servers.
func (s *score) load(b *testing.B, bases []string, requests [][]byte, connections int, turn time.Duration) {
	b.Helper()
	parts := make([]score, connections)
	end := time.Now().Add(turn)
	var clients sync.WaitGroup
	for i := range parts {
		clients.Go(func() {
			if err := parts[i].ask(strings.TrimPrefix(bases[i%len(bases)], "http://"), requests[i%len(bases)], end); err != nil {
				b.Errorf("%s: %v", requests[i%len(bases)], err)
			}
		})
	}
	clients.Wait()
	for _, p := range parts {
		s.requests, s.bytes, s.times = s.requests+p.requests, s.bytes+p.bytes, append(s.times, p.times...)
	}
}

// ask asks over one connection, at least once. It reads as little of the answers
// as it can: the client's work must not be what is measured.
func (s *score) ask(address string, request []byte, end time.Time) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for first := true; first || time.Now().Before(end); first = false {
		began := time.Now()
		if _, err := conn.Write(request); err != nil {
			return err
		}
		n, err := skim(r)
		if err != nil {
			return err
		}
		s.requests, s.bytes, s.times = s.requests+1, s.bytes+n, append(s.times, time.Since(began))
	}
	return nil
}

// skim reads an answer of 200 or 304 that says its length.
func skim(r *bufio.Reader) (size int64, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if !bytes.Contains(line, []byte(" 200 ")) && !bytes.Contains(line, []byte(" 304 ")) {
		return 0, fmt.Errorf("answered %q", line)
	}
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return 0, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); string(name) == "Content-Length" {
			if size, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return 0, err
			}
		}
	}
	return io.CopyN(io.Discard, r, size)
}

func BenchmarkPush(b *testing.B) {
	p := start(b)
	before := p.CPU(b)
	for n := 0; b.Loop(); n++ {
		require.Equal(b, http.StatusCreated, push(b, p.URL, testenv.Nupkg(b, "Acme.Lib", fmt.Sprintf("1.%d.0", n))))
	}
	b.ReportMetric(float64(b.N)/(p.CPU(b)-before).Seconds(), "pushes/cpu-s")
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
