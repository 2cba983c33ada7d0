//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/netfault"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/auth"
)

// candidates are indexing nodes in processes of their own, one of which leads.
type candidates struct {
	t     *testing.T
	flags []string // that all have
	nodes []*indexingNode
}

type indexingNode struct {
	*testenv.Process
	name, listen string
	flags        []string
	proxy        *netfault.Proxy // between the node and its database server; nil if there is none
}

const rounds = 20 // of each fault

var direct = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// startCandidates starts three nodes on SQLite, or on a PostgreSQL database that
// each of them reaches through a proxy of its own.
func startCandidates(t *testing.T, server *testenv.Postgres, flags ...string) *candidates {
	t.Helper()
	data := t.TempDir()
	c := &candidates{t: t, flags: append([]string{"run", "-roles", "index", "-encryption-key", auth.NewEncryptionKey(),
		"-data", data, "-storage", "file://" + filepath.Join(data, "packages"), "-drain", "100ms"}, flags...)}
	var database string
	if server != nil {
		database = server.NewDatabase(t)
	}
	for _, name := range []string{"index-1", "index-2", "index-3"} {
		n := &indexingNode{name: name, listen: fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))}
		if server != nil {
			n.proxy = testenv.StartProxy(t, server.Host())
			n.flags = []string{"-db", strings.Replace(database, server.Host(), n.proxy.Address(), 1)}
		}
		c.nodes = append(c.nodes, n)
		c.start(n)
	}
	return c
}

func (c *candidates) start(n *indexingNode) {
	c.t.Helper()
	bin, err := build()
	require.NoError(c.t, err, bin)
	flags := slices.Concat(c.flags, n.flags, []string{"-node", n.name, "-listen", n.listen})
	cmd := exec.Command(filepath.Join(bin, "server"), flags...)
	n.Process = testenv.Start(c.t, "http://"+n.listen, cmd)
}

// leads asks a node whether it is the primary, by its own clock.
func (n *indexingNode) leads() bool {
	resp, err := direct.Get("http://" + n.listen + "/health/ready")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var answer struct{ Primary bool }
	return json.NewDecoder(resp.Body).Decode(&answer) == nil && answer.Primary
}

var watchers = regexp.MustCompile(`(?m)^proget_beacon_watchers (\d+)$`)

func (n *indexingNode) watchers(t *testing.T) int {
	resp, err := direct.Get("http://" + n.listen + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	m := watchers.FindSubmatch(text)
	require.NotNil(t, m)
	count, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return count
}

// primary returns the node that leads, but for one, or nil.
func (c *candidates) primary(except *indexingNode) *indexingNode {
	for _, n := range c.nodes {
		if n != except && n.leads() {
			return n
		}
	}
	return nil
}

// awaitPrimary waits until one of the nodes, but for one, leads.
func (c *candidates) awaitPrimary(except *indexingNode) (found *indexingNode) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { found = c.primary(except); return found != nil }, time.Minute, 2*time.Millisecond)
	return found
}

// settle waits until there is a primary that both others watch. Who leads can
// change meanwhile, if the machine is too busy for a lease to be renewed.
func (c *candidates) settle() (found *indexingNode) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		found = c.primary(nil)
		if found != nil && found.watchers(c.t) == len(c.nodes)-1 {
			return found
		}
		if time.Now().After(deadline) {
			break
		}
	}
	for _, n := range c.nodes {
		log := n.Log()
		c.t.Logf("%s, leads: %t:\n%s", n.name, n.leads(), log[max(0, len(log)-3000):])
	}
	c.t.Fatal("there is no primary that all others watch")
	return nil
}

// figures prints how long the office was vacant.
func figures(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	t.Logf("%s: another leads after %v / %v / %v (least, median, most of %d)", what,
		took[0].Round(time.Millisecond), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took))
}

// lease is how long a lease lasts, and renewal the longest that a living primary
// has been without one.
const (
	lease   = 5 * time.Second
	renewal = 1500 * time.Millisecond
)

// TestFailover, with leases in each database and in etcd: a primary that is killed is replaced without waiting for its
// lease to run out, and one that is told to stop hands over. One that is paused,
// or cut off from the database, is replaced when its lease has run out, and
// knows it when it goes on.
func TestFailover(t *testing.T) {
	engines := map[string]func(t *testing.T) *candidates{
		"SQLite":     func(t *testing.T) *candidates { return startCandidates(t, nil) },
		"PostgreSQL": func(t *testing.T) *candidates { return startCandidates(t, testenv.StartPostgres(t)) },
		"etcd": func(t *testing.T) *candidates {
			return startCandidates(t, nil, "-elect", "etcd://"+testenv.StartEtcd(t).Address+"/proget")
		},
	}
	for engine, start := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			c.end("killed", syscall.SIGKILL)
			c.end("told to stop", syscall.SIGTERM)
			c.silence("paused",
				func(n *indexingNode) { n.Signal(t, syscall.SIGSTOP) },
				func(n *indexingNode) { n.Signal(t, syscall.SIGCONT) })
		})
	}
	t.Run("PostgreSQL cut off", func(t *testing.T) {
		t.Parallel()
		c := engines["PostgreSQL"](t)
		c.silence("cut off", func(n *indexingNode) { n.proxy.Cut() }, func(n *indexingNode) { n.proxy.Heal() })
	})
}

// end has the primary's process end, again and again.
func (c *candidates) end(how string, s syscall.Signal) {
	var took []time.Duration
	for range rounds {
		primary := c.settle()
		began := time.Now()
		primary.Signal(c.t, s)
		c.awaitPrimary(primary)
		took = append(took, time.Since(began))
		primary.Wait(c.t)
		c.start(primary)
	}
	figures(c.t, how, took)
	require.Less(c.t, took[len(took)/2], lease-renewal, "no lease can have run out so soon")
}

// silence has the primary fall silent for a while, again and again.
func (c *candidates) silence(how string, begin, end func(*indexingNode)) {
	const least = lease - 2*renewal
	var took []time.Duration
	for stuck := 0; len(took) < rounds; {
		primary := c.settle()
		began := time.Now()
		begin(primary)
		overtaken := c.overtaken(primary)
		vacant := time.Since(began)
		end(primary)
		if !overtaken {
			stuck++
			require.Nil(c.t, primary.proxy, "%s: nobody leads after %s", how, vacant)
			require.LessOrEqual(c.t, stuck, rounds/4, "%s: nobody leads after %s", how, vacant)
			continue
		}
		require.Eventually(c.t, func() bool { return !primary.leads() }, time.Minute, 2*time.Millisecond)
		took = append(took, vacant)
		if log := primary.Log(); vacant < least {
			c.t.Logf("%s: another leads after %s; the primary said:\n%s", how, vacant, log[max(0, len(log)-2000):])
		}
	}
	figures(c.t, how, took)
	require.Greater(c.t, took[1], least, "silence is no evidence of death") // one may meet a term that ends just then
}

// overtaken reports whether another node leads before long. It need not on
// SQLite: a process that is stopped in the middle of a transaction keeps the
// file's lock, and all who share the file wait for it.
func (c *candidates) overtaken(primary *indexingNode) bool {
	for late := time.Now().Add(6 * lease); time.Now().Before(late); time.Sleep(2 * time.Millisecond) {
		if c.primary(primary) != nil {
			return true
		}
	}
	return false
}
