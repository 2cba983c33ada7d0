package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// readers restore one known version over and over and remember what failed.
type readers struct {
	failed, stale, read atomic.Int64
	longest             atomic.Int64
}

func (r *readers) run(ctx context.Context, client *http.Client, url string) {
	for ctx.Err() == nil {
		began := time.Now()
		resp, err := client.Get(url)
		r.longest.Store(max(r.longest.Load(), int64(time.Since(began))))
		r.read.Add(1)
		if err != nil {
			r.failed.Add(1)
			continue
		}
		if resp.StatusCode != http.StatusOK {
			r.failed.Add(1)
		}
		if resp.Header.Get("Warning") != "" {
			r.stale.Add(1)
		}
		_ = resp.Body.Close()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// TestDatabaseFailover: while Patroni's primary is killed, handed over in order
// and frozen, clients push and restore through the load balancer. Nothing that
// was acknowledged is lost or doubled, and no restore of a known package fails.
func TestDatabaseFailover(t *testing.T) {
	patroni := testenv.StartPatroni(t)
	c := start(t, "-db", testenv.PatroniURL(patroni.Hosts(), patroni.NewDatabase(t)))
	l := &load{c: c, client: &http.Client{Timeout: time.Minute}, refused: make(map[int]int)}
	status, err := push(t.Context(), l.client, c.LoadBalancer.URL, c.APIKey, testenv.Nupkg(t, "Known.Lib", "1.0.0"))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status)
	for _, n := range c.role("web") { // each knows it
		resp, err := l.client.Get(n.URL + "/nuget/nuget/v3/flatcontainer/known.lib/index.json")
		require.NoError(t, err)
		_ = resp.Body.Close()
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	for worker := range 4 {
		clients.Go(func() { l.run(t, ctx, worker) })
	}
	r := new(readers)
	for range 4 {
		clients.Go(func() {
			r.run(ctx, l.client, c.LoadBalancer.URL+"/nuget/nuget/v3/flatcontainer/known.lib/1.0.0/known.lib.1.0.0.nupkg")
		})
	}
	for _, fault := range []struct {
		name string
		do   func(t testing.TB) (undo func())
	}{
		{"killed", patroni.KillPrimary},
		{"switched over", func(t testing.TB) func() { patroni.SwitchOver(t); return func() {} }},
		{"frozen", patroni.FreezePrimary},
	} {
		patroni.AwaitHealthy(t)
		l.awaitPushes(t, 20)
		began := time.Now()
		undo := fault.do(t)
		patroni.AwaitOtherPrimary(t)
		l.awaitPushes(t, 20)
		t.Logf("%s: 20 pushes were acknowledged %s after the fault", fault.name, time.Since(began).Round(time.Millisecond))
		undo()
	}
	l.awaitPushes(t, 20)
	stop()
	clients.Wait()
	lost, doubled, half := l.check(t, c.role("web"))
	t.Logf("pushes acknowledged %d, without a clear answer %d, refused %v; lost %d, doubled %d, half visible %d; longest push %s; "+
		"reads of what was just pushed: failed %d, put off %d; reads of what is in memory: %d, stale %d, failed %d, longest %s",
		len(l.acknowledged), len(l.unknown), l.refused, lost, doubled, half, l.longest.Round(time.Millisecond), l.readFailures, l.putOff,
		r.read.Load(), r.stale.Load(), r.failed.Load(), time.Duration(r.longest.Load()).Round(time.Millisecond))
	require.Zero(t, lost)
	require.Zero(t, doubled)
	require.Zero(t, half)
	require.Empty(t, l.refused, "no false conflict")
	require.Zero(t, r.failed.Load())
	require.Zero(t, l.readFailures)
}

// TestLostAnswers: connections break after COMMIT was sent and before its
// answer came, so that nobody knows what became of it. Every push is
// acknowledged nevertheless, once.
func TestLostAnswers(t *testing.T) {
	postgres := testenv.StartPostgres(t)
	u, err := url.Parse(postgres.NewDatabase(t))
	require.NoError(t, err)
	proxy := testenv.StartProxy(t, u.Host)
	u.Host = proxy.Address()
	c := start(t, "-db", u.String())
	l := &load{c: c, client: &http.Client{Timeout: time.Minute}, refused: make(map[int]int)}
	var lost atomic.Int64
	proxy.LoseAnswer(func(sent []byte) bool {
		if !bytes.Contains(bytes.ToLower(sent), []byte("commit")) || rand.N(4) > 0 {
			return false
		}
		lost.Add(1)
		return true
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var pushing sync.WaitGroup
	for worker := range 4 {
		pushing.Go(func() { l.run(t, ctx, worker) })
	}
	l.awaitPushes(t, 200)
	stop()
	pushing.Wait()
	proxy.LoseAnswer(nil)
	missing, doubled, half := l.check(t, c.role("web"))
	t.Logf("answers lost %d; pushes acknowledged %d, without a clear answer %d, refused %v; lost %d, doubled %d, half visible %d",
		lost.Load(), len(l.acknowledged), len(l.unknown), l.refused, missing, doubled, half)
	require.Positive(t, lost.Load())
	require.Zero(t, missing+doubled+half)
	require.Empty(t, l.refused, "no false conflict")
	require.Empty(t, l.undecided, "every outcome was found out")
}

// TestBadNetwork: between the nodes and the database, everything is late, nothing
// gets through for a while, connections break. Pushes wait, and nothing is lost.
func TestBadNetwork(t *testing.T) {
	postgres := testenv.StartPostgres(t)
	proxy := testenv.StartProxy(t, postgres.Host())
	c := start(t, "-db", strings.Replace(postgres.NewDatabase(t), postgres.Host(), proxy.Address(), 1))
	l := &load{c: c, client: &http.Client{Timeout: time.Minute}, refused: make(map[int]int)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var pushing sync.WaitGroup
	for worker := range 4 {
		pushing.Go(func() { l.run(t, ctx, worker) })
	}
	l.awaitPushes(t, 20)
	for range 3 {
		proxy.Delay(20 * time.Millisecond)
		l.awaitPushes(t, 5)
		proxy.Cut()
		time.Sleep(2 * time.Second) // nothing can be awaited: nobody hears from anybody
		proxy.Heal()
		l.awaitPushes(t, 5)
		proxy.Delay(0)
		for range 20 {
			proxy.Break()
			l.awaitPushes(t, 1)
		}
	}
	stop()
	pushing.Wait()
	lost, doubled, half := l.check(t, c.role("web"))
	t.Logf("pushes acknowledged %d, without a clear answer %d, refused %v; lost %d, doubled %d, half visible %d; longest push %s; "+
		"reads of what was just pushed: failed %d, put off %d", len(l.acknowledged), len(l.unknown), l.refused, lost, doubled, half,
		l.longest.Round(time.Millisecond), l.readFailures, l.putOff)
	require.Zero(t, lost+doubled+half)
	require.Empty(t, l.refused, "no false conflict")
	require.Zero(t, l.readFailures)
}

// TestNodeCutOff: a web node that alone cannot reach the database serves what it
// knows with a warning, refuses the rest for the moment, and is well again when
// the network is.
func TestNodeCutOff(t *testing.T) {
	postgres := testenv.StartPostgres(t)
	database := postgres.NewDatabase(t)
	c := start(t, "-db", database, "-web", "1")
	u, err := url.Parse(database)
	require.NoError(t, err)
	proxy := testenv.StartProxy(t, u.Host)
	u.Host = proxy.Address()
	node := c.join(t, "alone", u.String())
	client := &http.Client{Timeout: time.Minute}
	pushTo := func(base, version string) int {
		code, err := push(t.Context(), client, base, c.APIKey, testenv.Nupkg(t, "Acme.Lib", version))
		require.NoError(t, err)
		return code
	}
	versions := func(base string) (list []string, code int, warning string) {
		resp, err := client.Get(base + "/nuget/nuget/v3/flatcontainer/acme.lib/index.json")
		require.NoError(t, err)
		defer resp.Body.Close()
		var text bytes.Buffer
		_, _ = text.ReadFrom(resp.Body)
		return []string{text.String()}, resp.StatusCode, resp.Header.Get("Warning")
	}
	require.Equal(t, http.StatusCreated, pushTo(node.URL, "1.0.0"))
	_, code, warning := versions(node.URL)
	require.Equal(t, http.StatusOK, code)
	require.Empty(t, warning)

	proxy.Cut()
	require.Equal(t, http.StatusCreated, pushTo(c.LoadBalancer.URL, "2.0.0"), "the others go on")
	list, code, warning := versions(node.URL)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, warning, "111")
	require.NotContains(t, list[0], "2.0.0")
	require.Equal(t, http.StatusServiceUnavailable, pushTo(node.URL, "3.0.0"))

	proxy.Heal()
	require.Eventually(t, func() bool { _, _, warning := versions(node.URL); return warning == "" }, time.Minute, 50*time.Millisecond)
	list, _, _ = versions(node.URL)
	require.Contains(t, list[0], "2.0.0")
	require.Equal(t, http.StatusCreated, pushTo(node.URL, "4.0.0"))
}

// join starts one more web node of the cluster, with a database URL of its own.
func (c *cluster) join(t *testing.T, name, database string) *testenv.Process {
	t.Helper()
	bin, err := build()
	require.NoError(t, err, bin)
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	cmd := exec.Command(filepath.Join(bin, "server"), "-node", name, "-roles", "web", "-listen", address, "-data", c.data, "-db", database)
	cmd.Env = append(os.Environ(), "PROGET_ENCRYPTION_KEY="+c.key(t))
	p := testenv.Start(t, "http://"+address, cmd)
	require.Eventually(t, func() bool { return answers(process{URL: p.URL}) }, time.Minute, 20*time.Millisecond)
	return p
}

// key returns the encryption key that the cluster has made.
func (c *cluster) key(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.data, "secrets.json"))
	require.NoError(t, err)
	var secrets struct{ EncryptionKey string }
	require.NoError(t, json.Unmarshal(text, &secrets))
	return secrets.EncryptionKey
}
