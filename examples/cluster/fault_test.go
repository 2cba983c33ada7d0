package main_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// push sends a package and returns the status, or an error if there was no
// answer.
func push(ctx context.Context, client *http.Client, base, key string, file []byte) (int, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("package", "package.nupkg")
	if err != nil {
		return 0, err
	}
	if _, err = part.Write(file); err != nil {
		return 0, err
	}
	if err := form.Close(); err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, base+"/nuget/nuget/api/v2/package/", &body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("X-NuGet-ApiKey", key)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// get fetches a document, or returns the status if it is not 200. stale says
// that the node warned: it could not ask the database for what is new.
func get(client *http.Client, url string, into any) (status int, stale bool, err error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	stale = strings.HasPrefix(resp.Header.Get("Warning"), "111 ")
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, stale, nil
	}
	return http.StatusOK, stale, json.NewDecoder(resp.Body).Decode(into)
}

// load is a stream of pushes with a memory of every answer.
type load struct {
	c      *cluster
	client *http.Client

	mu           sync.Mutex
	acknowledged []string // versions
	unknown      []string // versions whose push got no clear answer
	undecided    []string // of them, those whose answer says that it is not known
	refused      map[int]int
	readFailures int // reads of one's own push that gave a wrong answer or none
	putOff       int // or were told to ask again: 503, or a warning that the answer is old
	longest      time.Duration
}

// run pushes versions of one package, and reads each back through the load
// balancer at once, until ctx ends.
func (l *load) run(t *testing.T, ctx context.Context, worker int) {
	for n := 0; ctx.Err() == nil; n++ {
		version := fmt.Sprintf("%d.0.%d", worker+1, n)
		began := time.Now()
		status, err := push(context.WithoutCancel(ctx), l.client, l.c.LoadBalancer.URL, l.c.APIKey, testenv.Nupkg(t, "Faulty.Lib", version))
		l.record(version, status, err, time.Since(began))
		if status != http.StatusCreated {
			continue
		}
		var list struct{ Versions []string }
		code, stale, err := get(l.client, l.c.LoadBalancer.URL+"/nuget/nuget/v3/flatcontainer/faulty.lib/index.json", &list)
		l.mu.Lock()
		switch {
		case err == nil && (stale || code == http.StatusServiceUnavailable):
			l.putOff++
		case err != nil || code != http.StatusOK || !slices.Contains(list.Versions, version):
			l.readFailures++
			t.Logf("%s was not read back at once: status %d, error %v, %d versions", version, code, err, len(list.Versions))
		}
		l.mu.Unlock()
	}
}

func (l *load) record(version string, status int, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = max(l.longest, took)
	switch {
	case err == nil && status == http.StatusCreated:
		l.acknowledged = append(l.acknowledged, version)
	case err != nil: // the load balancer may end a connection between two requests
		l.unknown = append(l.unknown, version)
	case status >= 500:
		l.unknown = append(l.unknown, version)
		l.undecided = append(l.undecided, fmt.Sprintf("%s: status %d", version, status))
	default:
		l.refused[status]++
	}
}

func kill(t *testing.T, p process) {
	t.Helper()
	running, err := os.FindProcess(p.PID)
	require.NoError(t, err)
	require.NoError(t, running.Kill())
	t.Logf("killed %s", p.Name)
}

// TestKilledNodes: under a stream of pushes, a web node and the primary
// indexing node are killed. No acknowledged push is lost or doubled, nothing is
// half visible, and another primary leads within the lease.
func TestKilledNodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, c *cluster) {
		l := &load{c: c, client: &http.Client{Timeout: 30 * time.Second}, refused: make(map[int]int)}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var pushing sync.WaitGroup
		for worker := range 4 {
			pushing.Go(func() { l.run(t, ctx, worker) })
		}
		l.awaitPushes(t, 20)
		web, index := c.role("web"), c.role("index")
		kill(t, web[0])
		l.awaitPushes(t, 40)

		leader, found := primary(index)
		require.True(t, found)
		kill(t, leader)
		failed := time.Now()
		rest := slices.DeleteFunc(slices.Clone(index), func(p process) bool { return p.Name == leader.Name })
		require.Eventually(t, func() bool { _, found = primary(rest); return found }, 20*time.Second, 20*time.Millisecond)
		failover := time.Since(failed)
		l.awaitPushes(t, 40)
		stop()
		pushing.Wait()

		lost, doubled, half := l.check(t, web[1:])
		t.Logf("pushes acknowledged %d, without a clear answer %d, refused %v; lost %d, doubled %d, half visible %d; failed reads %d; longest push %s; new primary after %s",
			len(l.acknowledged), len(l.unknown), l.refused, lost, doubled, half, l.readFailures, l.longest.Round(time.Millisecond), failover.Round(time.Millisecond))
		require.Zero(t, lost)
		require.Zero(t, doubled)
		require.Zero(t, half)
		require.Zero(t, l.readFailures)
		require.Zero(t, l.putOff)
		require.Empty(t, l.refused, "no false conflict")
		require.Less(t, failover, 7*time.Second, "the lease and a retry")
	})
}

func (l *load) awaitPushes(t *testing.T, more int) {
	t.Helper()
	count := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.acknowledged) }
	want := count() + more
	require.Eventually(t, func() bool { return count() >= want }, time.Minute, 10*time.Millisecond)
}

// check compares what every node that is left shows with what was
// acknowledged.
func (l *load) check(t *testing.T, nodes []process) (lost, doubled, half int) {
	t.Helper()
	for _, n := range nodes {
		var list struct{ Versions []string }
		require.EventuallyWithT(t, func(t *assert.CollectT) { // a node that was cut off says so until it has caught up
			list.Versions = nil
			code, stale, err := get(l.client, n.URL+"/nuget/nuget/v3/flatcontainer/faulty.lib/index.json", &list)
			assert.NoError(t, err)
			assert.Equal(t, http.StatusOK, code)
			assert.False(t, stale)
		}, time.Minute, 50*time.Millisecond)
		seen := make(map[string]int)
		for _, v := range list.Versions {
			seen[v]++
			doubled += seen[v] / 2
			if !l.whole(t, n, v) {
				half++
			}
		}
		for _, v := range l.acknowledged {
			if seen[v] == 0 {
				lost++
				t.Logf("%s does not show %s", n.Name, v)
			}
		}
		require.LessOrEqual(t, len(list.Versions), len(l.acknowledged)+len(l.unknown))
	}
	return lost, doubled, half
}

// whole reports whether a version's file is there, byte for byte a package.
func (l *load) whole(t *testing.T, n process, version string) bool {
	t.Helper()
	resp, err := l.client.Get(n.URL + "/nuget/nuget/v3/flatcontainer/faulty.lib/" + version + "/faulty.lib." + version + ".nupkg")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	return err == nil && len(z.File) == 1 && strings.HasSuffix(z.File[0].Name, ".nuspec")
}
