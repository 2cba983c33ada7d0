package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"text/template"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/load"
)

// balancer is HAProxy if that is installed, otherwise a small proxy in this process.
type balancer struct {
	process
	kind   string
	server *http.Server // of the small proxy
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// haproxy is a configuration worth copying. It has no affinity, takes nodes out as soon
// as they say that they are not ready, and sends a request that reached no node to
// another. It never sends a write twice that may have reached a node: the client is
// told, and decides. Each answer names the node, even if HAProxy answers in its place.
var haproxy = template.Must(template.New("haproxy.cfg").Parse(`global
    maxconn 4096
{{if .Log}}    log stdout format raw local0
{{end}}
defaults
    mode http
{{if .Log}}    log global
    option httplog
{{end}}    timeout connect 2s
    timeout client 1m
    timeout server 1m
    timeout http-request 10s
    timeout http-keep-alive 2m
    timeout queue 30s
    timeout check 2s
    option redispatch 1
    option http-keep-alive
    option forwardfor
    retries 3

frontend feeds
    bind {{.Listen}}
    http-request set-header X-Forwarded-Proto http
    # If none seems ready, the checks are more likely wrong than all the nodes.
    use_backend all if { nbsrv(nodes) eq 0 }
    default_backend nodes

backend nodes
    balance roundrobin
    option httpchk GET /health/ready
    http-check expect status 200
    # Reads are safe to repeat; of writes, only those that reached no node.
    retry-on conn-failure empty-response response-timeout 503
    http-request disable-l7-retry unless METH_GET or METH_HEAD
    http-request set-timeout server 6s if METH_GET or METH_HEAD
    http-after-response set-header {{.ServedBy}} %[srv_name]
    default-server check inter 1s fastinter 250ms fall 2 rise 1 observe layer4 error-limit 2 on-error mark-down
{{range .Nodes}}    server {{.Name}} {{.Host}}
{{end}}
backend all
    balance roundrobin
    retry-on conn-failure empty-response 503
    http-request disable-l7-retry unless METH_GET or METH_HEAD
    http-after-response set-header {{.ServedBy}} %[srv_name]
{{range .Nodes}}    server {{.Name}} {{.Host}}
{{end}}`))

func (c *cluster) startBalancer(ctx context.Context, nodes []*process) error {
	listen, err := c.reserve(c.options.listen) // HAProxy would only say so in its log
	if err != nil {
		return fmt.Errorf("%w; choose another address with -listen", err)
	}
	var web []target
	for _, n := range nodes {
		if n.Role == "web" {
			web = append(web, target{Name: n.Name, Host: n.front})
		}
	}
	if path := findHAProxy(); path != "" {
		c.balancer, err = startHAProxy(path, c.options, listen, web)
	} else {
		c.balancer, err = startProxy(ctx, listen, web)
	}
	return err
}

// findHAProxy returns HAProxy's path, or "". Debian has it in a folder sbin, which is
// not in the PATH of ordinary users, so it also looks in the folder sbin beside each
// bin.
func findHAProxy() string {
	if path, err := exec.LookPath("haproxy"); err == nil {
		return path
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.Base(dir) != "bin" {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(dir), "sbin", "haproxy")); err == nil {
			return path
		}
	}
	return ""
}

// target is a web node.
type target struct {
	Name, Host string
}

// startHAProxy starts it, with a log of all requests if faults are to be explained.
func startHAProxy(path string, o options, listen string, nodes []target) (*balancer, error) {
	config := filepath.Join(o.data, "haproxy.cfg")
	f, err := os.Create(config)
	if err != nil {
		return nil, err
	}
	err = haproxy.Execute(f, map[string]any{"Listen": listen, "Nodes": nodes, "Log": o.faults, "ServedBy": load.ServedBy})
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("write %s: %w", config, err)
	}
	b := &balancer{kind: "HAProxy, configured by " + config}
	b.Name, b.Role, b.URL = "load-balancer", "load balancer", "http://"+listen
	if err := b.start(exec.Command(path, "-db", "-f", config), filepath.Join(o.data, "haproxy.log")); err != nil {
		return nil, fmt.Errorf("start HAProxy: %w", err)
	}
	return b, nil
}

// startProxy serves a round-robin proxy from this process.
func startProxy(ctx context.Context, listen string, nodes []target) (*balancer, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	p := &proxy{nodes: nodes, ready: make([]atomic.Bool, len(nodes))}
	b := &balancer{kind: "a small proxy of this program, for evaluation only: install HAProxy for more"}
	b.Name, b.Role, b.URL, b.PID = "load-balancer", "load balancer", "http://"+l.Addr().String(), os.Getpid()
	b.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	ctx, b.stop = context.WithCancel(ctx)
	b.done.Go(func() { p.check(ctx) })
	b.done.Go(func() { _ = b.server.Serve(l) }) // ends with close
	return b, nil
}

func (b *balancer) close() {
	if b.server != nil {
		b.stop()
		_ = b.server.Close() // nothing is left to save
		b.done.Wait()
	}
}

func (b *balancer) answers(ctx context.Context) bool {
	return isReady(ctx, b.URL)
}

// isReady reports whether a server says within a second that it is.
func isReady(ctx context.Context, base string) bool {
	h, err := askHealth(ctx, base)
	return err == nil && h.Ready
}

// proxy sends each request to the next node.
type proxy struct {
	nodes []target
	ready []atomic.Bool
	next  atomic.Uint64
}

// check asks every node twice a second whether it is ready, until ctx ends.
func (p *proxy) check(ctx context.Context) {
	for ctx.Err() == nil {
		for i, n := range p.nodes {
			p.ready[i].Store(isReady(ctx, "http://"+n.Host))
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i := p.pick()
	to := &url.URL{Scheme: "http", Host: p.nodes[i].Host}
	reverse := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(to)
			pr.Out.Host = pr.In.Host
			pr.SetXForwarded()
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Set(load.ServedBy, p.nodes[i].Name)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			p.ready[i].Store(false)
			w.Header().Set(load.ServedBy, p.nodes[i].Name)
			http.Error(w, "The node "+p.nodes[i].Name+" went away. Try again.", http.StatusBadGateway)
		},
	}
	reverse.ServeHTTP(w, r)
}

// pick returns the next node that is ready, or the next of all if none is: the checks
// are more likely wrong than all the nodes.
func (p *proxy) pick() int {
	first, n := int(p.next.Add(1)%uint64(len(p.nodes))), len(p.nodes)
	for i := range n {
		if p.ready[(first+i)%n].Load() {
			return (first + i) % n
		}
	}
	return first
}
