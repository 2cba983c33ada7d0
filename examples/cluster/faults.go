package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
	"github.com/proget-go/ha/examples/cluster/internal/load"
	"github.com/proget-go/ha/examples/cluster/internal/report"
	"github.com/proget-go/ha/examples/cluster/internal/variant"
	"github.com/proget-go/ha/internal/netfault"
)

// suite is a run of the fault suite: a cluster, its load, and the faults.
type suite struct {
	*cluster
	links   map[string]*links // by node
	history *history.History
	load    *load.Load
	watch   *watch
	spares  []*process // web nodes that the load balancer knows and that do not run
	clocks  bool       // of nodes can jump
	next    string     // the binary of the server's next version; "" if there is none
	noNext  string     // why there is none
	disk    *disk      // small, for storage; nil if there is none
	noDisk  string     // why there is none
	report  report.Report
}

// links are what is between a node and the others.
type links struct {
	db, storage, elect, front *netfault.Proxy // nil if there is no network there
	folder                    string          // a symbolic link to the storage's folder; "" if storage is none
	clock                     string          // a file with the seconds by which the node's clock is wrong; "" if it cannot jump
}

// runFaults runs a cluster under load and faults, and judges what its clients were
// told. Each run has a folder of its own.
func runFaults(ctx context.Context, o options, key secrets) (err error) {
	o.data = filepath.Join(o.data, "faults-"+time.Now().Format("20060102-150405"))
	if err := os.MkdirAll(o.data, 0o750); err != nil {
		return err
	}
	s := &suite{cluster: &cluster{options: o, secrets: key}, links: make(map[string]*links)}
	s.prepare = s.link
	defer s.close()
	if err := s.buildVariants(ctx); err != nil {
		return err
	}
	if s.disk, err = newDisk(filepath.Join(o.data, "small-disk")); err != nil {
		s.noDisk = err.Error()
	}
	defer s.stop()
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	s.history = history.New()
	s.watch = newWatch(s.history.Now)
	var watching sync.WaitGroup
	defer watching.Wait()
	seen, end := context.WithCancel(ctx)
	defer end()
	for _, n := range slices.Concat(s.nodes, s.spares) {
		watching.Go(func() { s.watch.node(seen, n.Name, n.URL) })
	}
	if err := s.underLoad(ctx, s.torment); err != nil {
		return err
	}
	return s.judge(ctx)
}

// standIns are how many clients there are for each that works: those that wait for an
// answer for long are stood in for.
const standIns = 4

// underLoad does something while clients work.
func (s *suite) underLoad(ctx context.Context, do func(context.Context) error) error {
	var clients []*load.Client
	for range standIns * s.options.clients {
		c := s.client(s.balancer.URL)
		defer c.Close()
		clients = append(clients, c)
	}
	s.load = load.New(s.history, clients, s.options.clients, s.options.pause)
	loading, end := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.load.Run(loading) })
	err := do(ctx)
	end()
	running.Wait()
	s.report.End = s.history.Now()
	return err
}

func (s *suite) client(base string) *load.Client {
	return load.NewClient(base, s.secrets.APIKey, s.secrets.AdminPassword)
}

func (s *suite) close() {
	for _, l := range s.links {
		for _, p := range []*netfault.Proxy{l.db, l.storage, l.elect, l.front} {
			if p != nil {
				p.Close()
			}
		}
	}
}

// buildVariants compiles the server, if no binary is given, with a clock that can
// jump, and its next version.
func (s *suite) buildVariants(ctx context.Context) error {
	root, err := variant.Root(ctx)
	if err != nil {
		s.noNext = "it is built from the source, with the go command"
		if s.options.server == "" {
			return err
		}
		return nil
	}
	var edits []variant.Edit
	if s.options.server == "" {
		if edits, err = variant.JumpingClock(root); err != nil {
			return err
		}
		edits = append(edits, variant.Traced...)
		fmt.Fprintln(os.Stderr, "building the server …")
		s.options.server, s.clocks = filepath.Join(s.options.data, "server.bin"), true
		if err := variant.Build(ctx, s.options.server, edits...); err != nil {
			return err
		}
	}
	if !s.options.wants(rollingUpgrade) {
		return nil
	}
	next, err := variant.Next(root)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "building its next version …")
	s.next = filepath.Join(s.options.data, "server-next.bin")
	return variant.Build(ctx, s.next, append(edits, next...)...)
}

// start starts the nodes and the load balancer, which knows two more web nodes.
func (s *suite) start(ctx context.Context) error {
	if err := s.startNodes(); err != nil {
		return err
	}
	for i := range 2 {
		p, err := s.newNode(fmt.Sprintf("web-%d", s.options.web+i+1), "web")
		if err != nil {
			return err
		}
		s.spares = append(s.spares, p)
	}
	var err error
	s.balancer, err = startBalancer(ctx, s.options, slices.Concat(s.nodes, s.spares))
	return err
}

// link puts what can fail between a node that is to start and what it reaches.
func (s *suite) link(p *process) (err error) {
	l := &links{}
	s.links[p.Name] = l
	if l.db, p.db, err = through(p.db); err != nil {
		return fmt.Errorf("-db: %w", err)
	}
	if l.elect, p.elect, err = through(p.elect); err != nil {
		return fmt.Errorf("-elect: %w", err)
	}
	if err := s.linkStorage(l, p); err != nil {
		return fmt.Errorf("-storage: %w", err)
	}
	if l.front, err = netfault.Listen(p.address); err != nil {
		return err
	}
	p.front = l.front.Address()
	if l.db != nil { // nodes of one machine, as on SQLite, have one clock
		l.clock = filepath.Join(s.options.data, p.Name+".clock")
		p.env = append(p.env, variant.ClockVariable+"="+l.clock)
	}
	return nil
}

// through returns a URL that leads through a proxy to where the given one leads. A
// URL without one host and port is returned as it is.
func through(text string) (*netfault.Proxy, string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Port() == "" || strings.Contains(u.Host, ",") {
		return nil, text, nil // the server says what is wrong with it
	}
	p, err := netfault.Listen(u.Host)
	if err != nil {
		return nil, "", err
	}
	u.Host = p.Address()
	return p, u.String(), nil
}

// linkStorage gives a node a symbolic link of its own to a folder, or a proxy to
// an object store that has an address of its own.
func (s *suite) linkStorage(l *links, p *process) error {
	folder, isFolder := strings.CutPrefix(p.storage, "file://")
	if p.storage == "" {
		isFolder, folder = true, filepath.Join(s.options.data, "packages")
		if s.disk != nil {
			folder = filepath.Join(s.disk.dir, "packages")
		}
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return err
		}
	}
	if isFolder {
		l.folder = filepath.Join(s.options.data, "storage-of-"+p.Name)
		p.storage = "file://" + l.folder
		_ = os.Remove(l.folder) // of a run before this one
		return os.Symlink(folder, l.folder)
	}
	u, err := url.Parse(p.storage)
	if err != nil {
		return err
	}
	q := u.Query()
	if q.Get("endpoint") == "" {
		return nil
	}
	var endpoint string
	if l.storage, endpoint, err = through(q.Get("endpoint")); err != nil {
		return err
	}
	q.Set("endpoint", endpoint)
	u.RawQuery = q.Encode()
	p.storage = u.String()
	return nil
}

// well waits until every node that runs is ready, one of them leads, and each web node
// stores and serves packages.
func (s *suite) well(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := s.watch.await(ctx, func(nodes map[string]sight) bool {
		leads := s.options.index == 0
		for _, n := range s.nodes {
			if !nodes[n.Name].ready {
				return false
			}
			leads = leads || nodes[n.Name].primary
		}
		return leads
	})
	if err == nil {
		return s.serving(ctx)
	}
	for _, n := range s.nodes {
		if n.exited() {
			return fmt.Errorf("%s has ended: %s; its log is %s", n.Name, lastLine(n.log), n.log)
		}
	}
	return fmt.Errorf("not every node is ready, or none leads, after %s; logs are in %s", within, s.options.data)
}

// serving waits until each web node stores and serves packages, in a feed that is
// another each time.
func (s *suite) serving(ctx context.Context) error {
	feeds := s.load.Feeds()
	for _, n := range s.nodes {
		if n.Role != "web" {
			continue
		}
		c := s.client(n.URL)
		defer c.Close()
		for {
			err := s.load.Probe(ctx, c, feeds[rand.N(len(feeds))])
			if err == nil {
				break
			}
			if sleep(ctx, 100*time.Millisecond) != nil {
				return fmt.Errorf("%s is ready and does not serve: %w; its log is %s", n.Name, err, n.log)
			}
		}
	}
	return nil
}
