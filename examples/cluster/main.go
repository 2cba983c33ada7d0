// Command cluster runs a whole cluster on one machine: web nodes and indexing nodes of
// the reference server as separate processes, on one database and one folder, behind a
// load balancer. It restarts nothing, so that you can end a process and see what
// happens.
//
// With -faults, it breaks everything itself, under load, and judges whether the cluster
// kept its promises.
//
//	go run ./examples/cluster
//	go run ./examples/cluster -faults
//	go run ./examples/cluster -db 'postgres://…' -json
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	db, storage, elect, data, server, listen string
	web, index                               int
	json                                     bool

	faults          bool
	rounds, clients int
	pause           time.Duration // of a client
	only            []string      // parts of names of faults
	inject          []string      // name=command
}

// The kernel ends the child processes when the thread that started them ends, so that
// must be the main thread, which lives as long as this process.
func init() { runtime.LockOSThread() }

// signals end a run. SIGPIPE means that the reader of the output has gone and would not
// see what happens.
var signals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v; -help lists the flags\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	set := flag.NewFlagSet("cluster", flag.ContinueOnError)
	set.StringVar(&o.db, "db", "", "database `URL` shared by all nodes (default: SQLite in the data folder)")
	set.StringVar(&o.storage, "storage", "", "storage `URL` shared by all nodes (default: a folder in the data folder)")
	set.StringVar(&o.elect, "elect", "", "`elector` of the primary indexing node (default: the database)")
	set.StringVar(&o.data, "data", "proget-cluster", "`folder` for data, logs and the load balancer's configuration")
	set.StringVar(&o.server, "server", "", "the server's `binary` (default: built from this module)")
	set.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` of the load balancer")
	set.IntVar(&o.web, "web", 3, "`number` of web nodes")
	set.IntVar(&o.index, "index", 2, "`number` of indexing nodes")
	set.BoolVar(&o.json, "json", false, "print one line of JSON once all are ready, instead of a table")
	set.BoolVar(&o.faults, "faults", false, "put the cluster under load, cause every fault, check the results, and exit")
	set.IntVar(&o.rounds, "rounds", 1, "`number` of times that each fault happens")
	set.IntVar(&o.clients, "clients", 16, "`number` of clients of the load")
	set.DurationVar(&o.pause, "pause", 50*time.Millisecond, "`time` that a client pauses between two operations")
	set.Func("only", "only faults whose names have this `text`, as docs/faults.md lists them; may be repeated", func(text string) error { o.only = append(o.only, text); return nil })
	set.Func("inject", "a fault of your own, as `name=command`, such as a failover of the database; may be repeated", func(text string) error {
		if name, command, ok := strings.Cut(text, "="); !ok || name == "" || command == "" {
			return errors.New("give name=command")
		}
		o.inject = append(o.inject, text)
		return nil
	})
	set.SetOutput(io.Discard) // one clear line instead of the whole help
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Println("Runs a cluster on this machine: web and indexing nodes behind a load balancer.\n\nFlags:")
			set.SetOutput(os.Stdout)
			set.PrintDefaults()
		}
		return o, err
	}
	_, port, err := net.SplitHostPort(o.listen)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		return o, fmt.Errorf("-listen %q: give host:port, as in 127.0.0.1:8624", o.listen)
	}
	alone := map[string]bool{"only": true, "rounds": true, "clients": true, "pause": true, "inject": true}
	set.Visit(func(f *flag.Flag) {
		if alone[f.Name] && !o.faults {
			err = fmt.Errorf("-%s requires -faults", f.Name)
		}
	})
	if err != nil {
		return o, err
	}
	if o.faults && o.json {
		return o, errors.New("-json cannot be combined with -faults")
	}
	if set.NArg() > 0 || o.web < 1 || o.index < 0 || o.web+o.index > 50 {
		return o, errors.New("give only flags, and 1 to 50 nodes, of which at least one is a web node")
	}
	if o.faults && (o.web < 2 || o.index < 2 || o.rounds < 1 || o.clients < 1 || o.clients > 256 || o.pause < 0) {
		return o, errors.New("-faults needs two web nodes and two indexing nodes at least, one round at least, and 1 to 256 clients")
	}
	return o, nil
}

// run starts everything, shows it until ctx ends, and ends what it started.
func run(ctx context.Context, o options) (err error) {
	if o.data, err = filepath.Abs(o.data); err != nil {
		return err
	}
	if err := os.MkdirAll(o.data, 0o750); err != nil {
		return err
	}
	s, err := loadSecrets(filepath.Join(o.data, "secrets.json"))
	if err != nil {
		return err
	}
	if o.faults {
		return runFaults(ctx, o, s)
	}
	if o.server == "" {
		if o.server, err = build(ctx, o.data); err != nil {
			return err
		}
	}
	c := &cluster{options: o, secrets: s}
	defer c.stop()
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := c.awaitReady(ctx); err != nil {
		return err
	}
	if o.json {
		if err := json.NewEncoder(os.Stdout).Encode(c.describe()); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	c.show(ctx)
	return nil
}

// build compiles the reference server, so that every node is a single process, without
// a "go run" around it.
func build(ctx context.Context, dir string) (string, error) {
	fmt.Fprintln(os.Stderr, "building the server …")
	path := filepath.Join(dir, "server.bin")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/proget-go/ha/examples/server")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the server: %w", err)
	}
	return path, nil
}

// awaitReady waits until every node and the load balancer answer.
func (c *cluster) awaitReady(ctx context.Context) error {
	deadline := time.After(time.Minute)
	for {
		c.look(ctx)
		var waiting *process
		for _, p := range append([]*process{&c.balancer.process}, c.nodes...) {
			if p.exited() {
				return fmt.Errorf("%s ended at its start: %s; its log is %s", p.Name, lastLine(p.log), p.log)
			}
		}
		for _, n := range c.nodes {
			if n.state != ready {
				waiting = n
			}
		}
		if waiting == nil && c.balancer.answers(ctx) {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			return c.late(waiting)
		case <-ctx.Done():
			return nil
		}
	}
}

// late returns why the cluster is not ready after a minute. waiting is a node that is
// not ready, or nil.
func (c *cluster) late(waiting *process) error {
	if waiting == nil {
		return fmt.Errorf("the load balancer does not answer after a minute; its log is in %s", c.options.data)
	}
	why := ""
	if len(waiting.reasons) > 0 {
		why = ": " + strings.TrimSuffix(strings.Join(waiting.reasons, " "), ".") // they are sentences
	}
	return fmt.Errorf("node %s is not ready after a minute%s; its log is %s", waiting.Name, why, waiting.log)
}

// lastLine returns the last line of a log, which says why its process ended.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}
