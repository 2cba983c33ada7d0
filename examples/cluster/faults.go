package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
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
	newer   bool       // the schema is the next version's, and so are the nodes
	disk    *disk      // small, for storage; nil if there is none
	noDisk  string     // why there is none
	todo    []fault    // of each round
	report  report.Report

	interrupted bool // before all was judged

	// failover is the longest time that it took until another led, in this fault.
	failover time.Duration
}

// links are what is between a node and the others.
type links struct {
	db, storage, elect, front network // nil if there is no network there
	folder                    string  // a symbolic link to the storage's folder; "" if storage is none
	clock                     string  // a file with the seconds by which the node's clock is wrong; "" if it cannot jump
}

// network is what leads to a service: a proxy to each of its addresses.
type network []*netfault.Proxy

func (n network) each(do func(*netfault.Proxy)) {
	for _, p := range n {
		do(p)
	}
}

// runFaults runs a cluster under load and faults, and judges the answers to its
// clients. Each run has its own folder.
func runFaults(ctx context.Context, o options, key secrets) (err error) {
	s := &suite{cluster: &cluster{options: o, secrets: key}, links: make(map[string]*links)}
	if err := errors.Join(s.known(), s.unused(ctx)); err != nil {
		return err
	}
	if s.options.data, err = newFolder(filepath.Join(o.data, "faults-"+time.Now().Format("20060102-150405"))); err != nil {
		return err
	}
	s.prepare = s.link
	defer s.close()
	if err := s.buildVariants(ctx); err != nil {
		return err
	}
	if s.disk, err = newDisk(filepath.Join(s.options.data, "small-disk")); err != nil {
		s.noDisk = err.Error()
	}
	defer func() { err = errors.Join(err, s.keepEvidence()) }() // once nobody changes it any more
	defer s.stop()
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.plan(); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	// Until it has checked, the load balancer considers nodes ready that do not run.
	if err := sleep(ctx, noticing); err != nil {
		return err
	}
	return s.breakAndJudge(ctx)
}

// newFolder creates a folder, under another name if that exists.
func newFolder(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	for name, n := path, 2; ; name, n = fmt.Sprintf("%s-%d", path, n), n+1 {
		if err := os.Mkdir(name, 0o750); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

// unused refuses a database or a folder that is already in use, because the suite makes
// its content older and deletes it.
func (s *suite) unused(ctx context.Context) error {
	if s.options.db != "" {
		db, err := s.openDB()
		if err != nil {
			return nil // the server says what is wrong with it
		}
		defer db.Close()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		var versions int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM schema_version").Scan(&versions); err == nil {
			return errors.New("-db: this database has been used: give an empty one, because the run changes the age of everything in it at the end")
		}
	}
	if folder, ok := strings.CutPrefix(s.options.storage, "file://"); ok {
		if found, err := os.ReadDir(folder); err == nil && len(found) > 0 {
			return errors.New("-storage: this folder is not empty: give an empty one, because the run changes the age of everything in it at the end")
		}
	}
	return nil
}

// breakAndJudge makes everything fail once the cluster is up, and judges the result. It
// writes the clients' history in any case.
func (s *suite) breakAndJudge(ctx context.Context) error {
	s.history = history.New()
	s.report.Began = s.history.Began()
	s.report.Setting = fmt.Sprintf("%d web nodes, %d indexing nodes, %d clients; %s, %s; %s", s.options.web, s.options.index, s.options.clients,
		s.engine(), s.place(), s.balancer.kind)
	s.watch = newWatch(s.history.Now)
	var watching sync.WaitGroup
	defer watching.Wait()
	seen, end := context.WithCancel(ctx)
	defer end()
	for _, n := range slices.Concat(s.nodes, s.spares) {
		watching.Go(func() { s.watch.node(seen, n.Name, n.URL) })
	}
	s.underLoad(ctx, s.torment)
	return s.judge(ctx)
}

// keepEvidence keeps what is stored if a promise was broken.
func (s *suite) keepEvidence() error {
	if s.disk == nil || len(s.report.Verdict.Violations) == 0 {
		return nil
	}
	if err := s.disk.keep(); err != nil {
		return fmt.Errorf("keep what is stored: %w", err)
	}
	return nil
}

// standIns is the number of clients for each that works: others replace those that wait
// long for an answer.
const standIns = 4

// underLoad calls do while clients work.
func (s *suite) underLoad(ctx context.Context, do func(context.Context)) {
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
	do(ctx)
	end()
	running.Wait()
	s.report.End = s.history.Now()
}

func (s *suite) client(base string) *load.Client {
	return load.NewClient(base, s.secrets.APIKey, s.secrets.AdminPassword)
}

func (s *suite) close() {
	for _, l := range s.links {
		for _, n := range []network{l.db, l.storage, l.elect, l.front} {
			n.each((*netfault.Proxy).Close)
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
			return fmt.Errorf("%w; run this in the source's folder, or give -server", err)
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
	return s.startBalancer(ctx, slices.Concat(s.nodes, s.spares))
}

// link puts what can fail between a node that will start and the services that it uses.
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
	front, err := netfault.Listen(p.address)
	if err != nil {
		return err
	}
	l.front, p.front = network{front}, front.Address()
	if l.db != nil { // nodes of one machine, as on SQLite, have one clock
		l.clock = filepath.Join(s.options.data, p.Name+".clock")
		p.env = append(p.env, variant.ClockVariable+"="+l.clock)
	}
	return nil
}

// through returns a URL that leads to the same place as the given one through proxies,
// one for each host. It returns the URL unchanged if a host has no port.
func through(text string) (between network, by string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, text, nil // the server says what is wrong with it
	}
	hosts := strings.Split(u.Host, ",")
	for _, host := range hosts {
		if _, port, err := net.SplitHostPort(host); err != nil || port == "" {
			return nil, text, nil
		}
	}
	for i, host := range hosts {
		p, err := netfault.Listen(host)
		if err != nil {
			between.each((*netfault.Proxy).Close)
			return nil, "", err
		}
		between, hosts[i] = append(between, p), p.Address()
	}
	u.Host = strings.Join(hosts, ",")
	return between, u.String(), nil
}

// linkStorage gives a node its own symbolic link to the storage's folder, or a proxy to
// an object store whose address is in the URL.
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

// serving waits until each web node stores and serves packages. Each attempt uses a
// random feed.
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
