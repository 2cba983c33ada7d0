package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/proget-go/ha/internal/ports"
)

// secrets are made at the first start and kept, since the database remembers
// them.
type secrets struct {
	EncryptionKey string `json:"encryptionKey"`
	AdminPassword string `json:"adminPassword"`
	APIKey        string `json:"apiKey"`
}

func loadSecrets(path string) (s secrets, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return s, json.Unmarshal(text, &s)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	s = secrets{hex.EncodeToString(key), rand.Text(), rand.Text()}
	if text, err = json.Marshal(s); err != nil {
		return s, err
	}
	return s, os.WriteFile(path, text, 0o600)
}

// The states of a node.
const (
	starting = "starting"
	ready    = "ready"
	unready  = "not ready"
	down     = "down"
)

// process is a node's process.
type process struct {
	Name string `json:"name"`
	Role string `json:"role"`
	URL  string `json:"url"`
	PID  int    `json:"pid"`

	address            string // on which it listens
	front              string // to which the load balancer connects
	server             string // binary
	db, storage, elect string // URLs; "" for the server's own defaults
	args, env          []string

	cmd     *exec.Cmd
	log     string
	ended   chan struct{}
	state   string
	reasons []string // why it is not ready, as it says
	primary bool
}

func (p *process) exited() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

type cluster struct {
	options  options
	secrets  secrets
	nodes    []*process
	balancer *balancer
	reserved []io.Closer // addresses

	// prepare, unless nil, may change how a node is run before its first start.
	prepare func(*process) error
}

// description is the line that -json prints.
type description struct {
	LoadBalancer  *process   `json:"loadBalancer"`
	Nodes         []*process `json:"nodes"`
	AdminPassword string     `json:"adminPassword"`
	APIKey        string     `json:"apiKey"`
}

func (c *cluster) describe() description {
	return description{&c.balancer.process, c.nodes, c.secrets.AdminPassword, c.secrets.APIKey}
}

func (c *cluster) start(ctx context.Context) error {
	if err := c.startNodes(); err != nil {
		return err
	}
	return c.startBalancer(ctx, c.nodes)
}

func (c *cluster) startNodes() error {
	for i := range c.options.web {
		if err := c.startNode(fmt.Sprintf("web-%d", i+1), "web"); err != nil {
			return err
		}
	}
	for i := range c.options.index {
		if err := c.startNode(fmt.Sprintf("index-%d", i+1), "index"); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) startNode(name, role string) error {
	p, err := c.newNode(name, role)
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, p)
	return c.run(p)
}

// newNode makes a node that does not run yet.
func (c *cluster) newNode(name, role string) (*process, error) {
	address, err := c.reserve("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{Name: name, Role: role, URL: "http://" + address, address: address, front: address,
		server: c.options.server, db: c.options.db, storage: c.options.storage, elect: c.options.elect}
	if c.prepare != nil {
		err = c.prepare(p)
	}
	return p, err
}

// run starts a node's process, whose output goes to a file of its own.
func (c *cluster) run(p *process) error {
	args := []string{"run", "-node", p.Name, "-roles", p.Role, "-listen", p.address, "-data", c.options.data, "-trusted-proxies", "127.0.0.1"}
	for flag, value := range map[string]string{"-db": p.db, "-storage": p.storage, "-elect": p.elect} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	cmd := exec.Command(p.server, append(args, p.args...)...)
	cmd.Env = append(append(os.Environ(), p.env...),
		"PROGET_ENCRYPTION_KEY="+c.secrets.EncryptionKey,
		"PROGET_ADMIN_PASSWORD="+c.secrets.AdminPassword, "PROGET_API_KEY="+c.secrets.APIKey)
	if err := p.start(cmd, filepath.Join(c.options.data, p.Name+".log")); err != nil {
		return fmt.Errorf("start node %s: %w", p.Name, err)
	}
	return nil
}

// start starts the process, whose output goes to a file.
func (p *process) start(cmd *exec.Cmd, log string) error {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.PID, p.cmd, p.log, p.ended, p.state = cmd.Process.Pid, cmd, log, ended, starting
	go func() { // owned by stop, which waits for ended
		_ = cmd.Wait() // its state says how it ended
		close(ended)
	}()
	return nil
}

// reserve returns address if that is free. For port 0, it chooses a port, which belongs
// to the cluster until it stops.
func (c *cluster) reserve(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if port != "0" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return "", err
		}
		return address, l.Close()
	}
	address, reservation, err := ports.Reserve(host)
	if err == nil {
		c.reserved = append(c.reserved, reservation)
	}
	return address, err
}

// look asks every node how it is.
func (c *cluster) look(ctx context.Context) {
	var all sync.WaitGroup
	for _, n := range c.nodes {
		all.Go(func() { n.look(ctx) })
	}
	all.Wait()
}

func (p *process) look(ctx context.Context) {
	if p.exited() {
		p.state, p.primary = down+", "+p.cmd.ProcessState.String(), false
		return
	}
	h, err := askHealth(ctx, p.URL)
	if err != nil {
		if p.state != starting {
			p.state, p.primary = "silent", false
		}
		return
	}
	p.primary, p.reasons = h.Primary, h.Reasons
	switch {
	case h.Ready:
		p.state = ready
	case p.state != starting:
		p.state = unready
	}
}

// stop asks every process to stop, and kills those that remain after ten seconds.
func (c *cluster) stop() {
	all := slices.DeleteFunc(slices.Clone(c.nodes), func(p *process) bool { return p.cmd == nil }) // never started
	if c.balancer != nil {
		c.balancer.close()
		if c.balancer.cmd != nil {
			all = append([]*process{&c.balancer.process}, all...)
		}
	}
	for _, p := range all {
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			_ = p.cmd.Process.Kill() // where there is no such signal
		}
		resume(p.cmd.Process) // a paused one could not hear it
	}
	force := time.After(10 * time.Second)
	for _, p := range all {
		select {
		case <-p.ended:
		case <-force:
			_ = p.cmd.Process.Kill() // it may have ended meanwhile
			<-p.ended
		}
	}
	for _, r := range c.reserved {
		_ = r.Close() // as the process does that ends now
	}
}
